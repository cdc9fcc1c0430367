/**
 * Which animation plays when. Pure: a program and the time in, the next program out.
 *
 * Money is never dropped, animations are: one that could not start within its time to live is left
 * out (its line in the tray stays), and so are the cheapest when too many wait. Lanes keep a small
 * gift from waiting behind a big one; a takeover has the stage to itself.
 */

import { coinsOf, countOf, knownAnimation } from './words.js';
import { lineKey } from './lines.js';

/** Class → lane, how many of the lane play at once, how long one plays, how long it may wait. */
const CLASSES = {
  particles: { lane: 'particles', atOnce: 3, showMs: 3_000, ttlMs: 4_000 },
  side: { lane: 'side', atOnce: 2, showMs: 4_000, ttlMs: 8_000 },
  centre: { lane: 'big', atOnce: 1, showMs: 5_500, ttlMs: 25_000 },
  full: { lane: 'big', atOnce: 1, showMs: 8_000, ttlMs: 90_000 },
  takeover: { lane: 'big', atOnce: 1, showMs: 11_000, ttlMs: 180_000 },
};
export const WAITING_MAX = 30;
/** A combo that grows keeps its picture up, but not for ever. */
const GROWN_SHOW_MAX = 3;

/**
 * @typedef {object} Act
 * @property {string} key  one per gift or combo
 * @property {object} event  the newest entry of it
 * @property {number} givenMs @property {number} startedMs @property {number} untilMs
 * @property {number} slot  which place of its lane it plays in, so that no two overlap
 */

export const emptyProgram = () => ({ playing: [], waiting: [] });

/** Something was given. Gifts of the smallest class have no act: the tray shows them. */
export function offer(program, event, nowMs) {
  const animation = knownAnimation(event.animation);
  const how = CLASSES[animation];
  if (!how) return program;
  const key = lineKey(event);
  const act = { key, animation, event, count: countOf(event), coins: coinsOf(event), givenMs: nowMs };
  if (has(program.playing, key)) return { ...program, playing: program.playing.map((p) => (p.key === key ? grow(p, act, how) : p)) };
  if (has(program.waiting, key)) return { ...program, waiting: program.waiting.map((w) => (w.key === key ? act : w)) };
  return { ...program, waiting: withoutCheapest([...program.waiting, act]) };
}

const has = (acts, key) => acts.some((act) => act.key === key);

function grow(playing, act, how) {
  const latestMs = playing.startedMs + GROWN_SHOW_MAX * how.showMs;
  return { ...playing, event: act.event, count: act.count, coins: act.coins,
    untilMs: Math.max(playing.untilMs, Math.min(act.givenMs + how.showMs, latestMs)) };
}

function withoutCheapest(waiting) {
  if (waiting.length <= WAITING_MAX) return waiting;
  const cheapest = waiting.reduce((low, act) => (act.coins < low.coins ? act : low));
  return waiting.filter((act) => act !== cheapest);
}

/** A gift was hidden or taken back: nothing of it plays on. */
export function cancelGift(program, giftSeq) {
  const others = (act) => act.event.seq !== giftSeq;
  return { playing: program.playing.filter(others), waiting: program.waiting.filter(others) };
}

/** Time has passed: what is over ends, what waited too long is left out, what has room starts. */
export function advance(program, nowMs) {
  let playing = program.playing.filter((act) => act.untilMs > nowMs);
  const waiting = [];
  for (const act of [...program.waiting].sort(byWorth)) {
    const how = CLASSES[act.animation];
    if (nowMs - act.givenMs > how.ttlMs) continue;
    const slot = freeSlot(playing, act);
    if (slot === null) waiting.push(act);
    else playing = [...playing, { ...act, slot, startedMs: nowMs, untilMs: nowMs + how.showMs }];
  }
  return { playing, waiting };
}

/** Biggest first, and among equals who came first. */
const byWorth = (a, b) => b.coins - a.coins || a.givenMs - b.givenMs || a.event.seq - b.event.seq;

/** The first free place of the act's lane, or null when it has to wait. */
function freeSlot(playing, act) {
  if (playing.some((p) => p.animation === 'takeover')) return null;
  const { lane, atOnce } = CLASSES[act.animation];
  const taken = new Set(playing.filter((p) => CLASSES[p.animation].lane === lane).map((p) => p.slot));
  for (let slot = 0; slot < atOnce; slot++) if (!taken.has(slot)) return slot;
  return null;
}

/** When `advance` has something to do next, or null. */
export function nextChangeMs(program) {
  const ends = program.playing.map((act) => act.untilMs);
  const expiries = program.waiting.map((act) => act.givenMs + CLASSES[act.animation].ttlMs + 1);
  return ends.length + expiries.length ? Math.min(...ends, ...expiries) : null;
}
