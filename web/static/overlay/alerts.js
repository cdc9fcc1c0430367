/**
 * The overlay's queue of alerts: one at a time, combos merged, nothing shown that is long past. Pure:
 * alerts and the time in, the next alerts out.
 *
 * `shown` is what the server is told: the last entry up to which everything has been shown, or was
 * not meant to be (too small, hidden, too old). While alerts wait it stays before the first of them,
 * so that an overlay that comes back could begin there.
 */

import { coinsOf, countOf, knownAnimation } from '../show/words.js';

const SHOW_MS = { tray: 3_500, particles: 4_000, side: 4_500, centre: 5_500, full: 8_000, takeover: 11_000 };
/** A pause between two alerts, for the leaving one to leave. */
export const PAUSE_MS = 500;
/** OBS stops pages that are in no scene; an alert that has waited this long is not news any more. */
const STALE_MS = { tray: 30_000, particles: 30_000, side: 45_000, centre: 90_000, full: 180_000, takeover: 180_000 };
/** A combo that keeps growing keeps its alert up to this many times its length. */
const GROWN_SHOW_MAX = 3;

/**
 * @typedef {object} Alert
 * @property {string} key     the combo, or the sender and the gift: gifts of one key share an alert
 * @property {object} event   the newest entry of it
 * @property {number} count @property {number} coins
 * @property {number} firstSeq @property {number} lastSeq
 * @property {number} givenMs @property {number} [startedMs] @property {number} [untilMs]
 */

/** @param {{minCoins?: number, queueMax?: number}} [options] */
export function newAlerts({ minCoins = 1, queueMax = 20 } = {}) {
  return { minCoins, queueMax, current: null, queue: [], freeAtMs: 0, handledSeq: 0 };
}

function alertKey(event) {
  if (event.combo) return `combo-${event.combo.id}`;
  // Nobody knows whether two anonymous gifts are of one person: they are not added up.
  return event.from.anonymous ? `gift-${event.seq}` : `sender-${event.from.id}-${event.gift}`;
}

/** A gift was given. */
export function offer(alerts, event, nowMs) {
  const next = { ...alerts, handledSeq: Math.max(alerts.handledSeq, event.seq) };
  const key = alertKey(event);
  const { current } = alerts;
  if (current?.key === key) return { ...next, current: grow(current, event, nowMs) };
  if (alerts.queue.some((alert) => alert.key === key)) {
    return { ...next, queue: alerts.queue.map((alert) => (alert.key === key ? add(alert, event) : alert)) };
  }
  if (coinsOf(event) < alerts.minCoins) return next;
  const alert = { key, event, count: countOf(event), coins: coinsOf(event),
    firstSeq: event.seq, lastSeq: event.seq, givenMs: nowMs };
  return { ...next, queue: withoutCheapest([...alerts.queue, alert], alerts.queueMax) };
}

/** Combos say how much they are in all; other gifts are added up here. */
function add(alert, event) {
  const sum = event.combo
    ? { count: Math.max(alert.count, countOf(event)), coins: Math.max(alert.coins, coinsOf(event)) }
    : { count: alert.count + event.quantity, coins: alert.coins + event.coins };
  return { ...alert, ...sum, event, lastSeq: event.seq };
}

function grow(current, event, nowMs) {
  const showMs = SHOW_MS[knownAnimation(event.animation)];
  const untilMs = Math.min(nowMs + showMs, current.startedMs + GROWN_SHOW_MAX * showMs);
  return { ...add(current, event), startedMs: current.startedMs, untilMs: Math.max(current.untilMs, untilMs) };
}

function withoutCheapest(queue, max) {
  if (queue.length <= max) return queue;
  const cheapest = queue.reduce((low, alert) => (alert.coins <= low.coins ? alert : low));
  return queue.filter((alert) => alert !== cheapest);
}

/** Entries that are no alerts have been dealt with too. */
export function passed(alerts, seq) {
  return { ...alerts, handledSeq: Math.max(alerts.handledSeq, seq) };
}

/** A gift was hidden or taken back: its alert goes, at once. */
export function cancel(alerts, giftSeq) {
  const holds = (alert) => alert.firstSeq <= giftSeq && giftSeq <= alert.lastSeq && alert.event.seq === giftSeq;
  return { ...alerts, queue: alerts.queue.filter((alert) => !holds(alert)),
    current: alerts.current && holds(alerts.current) ? null : alerts.current };
}

/** Time has passed: end what is over, forget what is stale, start what is next. */
export function advance(alerts, nowMs) {
  let { current, queue, freeAtMs } = alerts;
  if (current && current.untilMs <= nowMs) {
    current = null;
    freeAtMs = nowMs + PAUSE_MS;
  }
  queue = queue.filter((alert) => nowMs - alert.givenMs <= STALE_MS[knownAnimation(alert.event.animation)]);
  if (!current && nowMs >= freeAtMs && queue.length) {
    const [first, ...rest] = queue;
    current = { ...first, startedMs: nowMs, untilMs: nowMs + SHOW_MS[knownAnimation(first.event.animation)] };
    queue = rest;
  }
  return { ...alerts, current, queue, freeAtMs };
}

/** When `advance` has something to do next, or null. */
export function nextChangeMs(alerts) {
  if (alerts.current) return alerts.current.untilMs;
  return alerts.queue.length ? alerts.freeAtMs : null;
}

/** The last entry up to which everything has been shown or passed over. */
export function shownSeq(alerts) {
  const open = [alerts.current, ...alerts.queue].filter(Boolean).map((alert) => alert.firstSeq);
  return open.length ? Math.min(...open) - 1 : alerts.handledSeq;
}
