/**
 * The tray: what was given, line by line, newest last. Pure: lines in, lines out. A combo is one line
 * that grows; the money behind it moved gift by gift, and only how it is shown is one.
 */

import { coinsOf, countOf, giver, knownAnimation } from './words.js';

/** More lines than anyone reads; a busy room must not grow the page without end. */
export const LINES_MAX = 40;
/** A combo line remembers so many of its entries, to find it again when one is hidden or retracted. */
const SEQS_MAX = 60;

/**
 * @typedef {object} Line
 * @property {string} key
 * @property {'gift'|'omitted'|'retracted'|'level'|'room'} kind
 * @property {number[]} seqs  entries of the log that are in this line
 * @property {number} coins
 */

export function lineKey(event) {
  return event.combo ? `combo-${event.combo.id}` : `gift-${event.seq}`;
}

/** A gift: a new line, or its combo's line grown. Counts are absolute, so they can only go up. */
export function addGift(lines, event) {
  const key = lineKey(event);
  const known = lines.find((line) => line.key === key);
  if (!known) return add(lines, newLine(key, event));
  const grown = { ...known, count: Math.max(known.count, countOf(event)),
    coins: Math.max(known.coins, coinsOf(event)), message: event.message ?? known.message,
    seqs: [...known.seqs, event.seq].slice(-SEQS_MAX) };
  return lines.map((line) => (line === known ? grown : line));
}

function newLine(key, event) {
  return { key, kind: 'gift', seqs: [event.seq], giver: giver(event.from), level: event.from.level ?? 0,
    gift: event.gift, name: event.name, animation: knownAnimation(event.animation),
    count: countOf(event), coins: coinsOf(event), message: event.message ?? '', retracted: false };
}

/** What a busy frame left out is still said, in one line that grows while nothing else comes. */
export function addOmitted(lines, omitted, seq) {
  if (!omitted?.gifts) return lines;
  const last = lines.at(-1);
  if (last?.kind !== 'omitted') {
    return add(lines, { key: `omitted-${seq}`, kind: 'omitted', seqs: [], gifts: omitted.gifts, coins: omitted.coins });
  }
  return [...lines.slice(0, -1), { ...last, gifts: last.gifts + omitted.gifts, coins: last.coins + omitted.coins }];
}

/** A retraction: a line says so, and its gift's line is struck out, unless other gifts are in it too. */
export function addRetraction(lines, event) {
  const only = (line) => line.kind === 'gift' && line.seqs.includes(event.gift_seq) && line.coins === event.coins;
  const marked = lines.map((line) => (only(line) ? { ...line, retracted: true } : line));
  return add(marked, { key: `retracted-${event.seq}`, kind: 'retracted', seqs: [event.seq],
    giver: giver(event.from), coins: event.coins });
}

/** Something about the room itself. */
export function addNote(lines, seq, text) {
  return add(lines, { key: `room-${seq}`, kind: 'room', seqs: [seq], coins: 0, text });
}

/**
 * Someone has reached a gifter level. It is told twice, in the gift that did it and by a message of its
 * own (a merged gift does not carry it), and said once.
 */
export function addLevel(lines, user, level) {
  const key = `level-${user.id}-${level}`;
  if (lines.some((line) => line.key === key)) return lines;
  return add(lines, { key, kind: 'level', seqs: [], coins: 0, person: user.name || user.id, level });
}

/** A hidden gift disappears: the creator does not want it seen. */
export function hideGift(lines, giftSeq) {
  return lines.filter((line) => line.kind !== 'gift' || !line.seqs.includes(giftSeq));
}

const add = (lines, line) => [...lines, line].slice(-LINES_MAX);
