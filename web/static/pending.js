/**
 * The gifts that were given and not yet answered. Pure: a Map in, a new Map out.
 *
 * A gift is a request to move money over a line that may break at any moment, so it is kept, under
 * the key it was given once, until the server has answered it. Sending it again **with the same
 * key** is always safe: the server books a key once and repeats its first answer. Sending it again
 * with a new key is how people pay twice. A gift waits in one of three states:
 *
 *     unsent → the room is not joined (yet, or any more): goes out after the next `joined`
 *     sent   → on the line; back to unsent when the line breaks
 *     held   → refused with `retry: same`; goes out again at `retryAtMs`
 *
 * A gift whose room was left, or may not be joined, never goes out again. One that is on the line
 * keeps waiting, for the server still answers it; the others are stranded, and answered here.
 */

/** More waiting gifts than this are refused here: a person does not tap that fast, a bug does. */
export const PENDING_MAX = 100;
/** When a `retry: same` refusal does not say how long to wait. */
export const RETRY_DEFAULT_MS = 1_000;
const RETRY_CAP_MS = 30_000;

/**
 * @typedef {object} Waiting
 * @property {object} message   the `gift` message as it goes over the wire, key included
 * @property {'unsent'|'sent'|'held'} state
 * @property {boolean} wasSent  went out at least once, so it may have been booked
 * @property {number} retryAtMs when a held gift may go out
 * @property {number} refusals  how often it was refused with `retry: same`
 */

const put = (pending, key, waiting) => new Map(pending).set(key, waiting);

/** Keep a new gift. */
export function keep(pending, message) {
  return put(pending, message.key, { message, state: 'unsent', wasSent: false, retryAtMs: 0, refusals: 0 });
}

/** The gift has its final answer. */
export function settle(pending, key) {
  const rest = new Map(pending);
  rest.delete(key);
  return rest;
}

/** The line broke: whatever was on it may or may not have arrived, and goes out again. */
export function lineBroke(pending) {
  return change(pending, (w) => w.state === 'sent', (w) => ({ ...w, state: 'unsent' }));
}

/** Hold a gift that was refused with `retry: same`, at least as long as the server says. */
export function hold(pending, key, refusal, nowMs, random) {
  const waiting = pending.get(key);
  const askedMs = refusal.retry_after_ms ?? refusal.details?.retry_after_ms ?? RETRY_DEFAULT_MS;
  const jitterMs = Math.floor(random * Math.min(RETRY_CAP_MS, 100 * 2 ** waiting.refusals));
  const retryAtMs = nowMs + askedMs + jitterMs;
  return put(pending, key, { ...waiting, state: 'held', retryAtMs, refusals: waiting.refusals + 1 });
}

/**
 * What goes out now, of the rooms that `isJoined` says are joined, in the order it was given.
 * @returns {[Map<string, Waiting>, object[]]} the gifts after it, and the messages to send
 */
export function takeDue(pending, nowMs, isJoined) {
  const due = (w) => isJoined(w.message.room)
    && (w.state === 'unsent' || (w.state === 'held' && w.retryAtMs <= nowMs));
  const messages = [...pending.values()].filter(due).map((w) => w.message);
  return [change(pending, due, (w) => ({ ...w, state: 'sent', wasSent: true })), messages];
}

/**
 * The gifts that no answer can come for: not on the line, and in no room that `isWanted` says we
 * are in or on our way to.
 * @returns {[Map<string, Waiting>, Waiting[]]} the gifts that still wait, and the stranded ones
 */
export function takeStranded(pending, isWanted) {
  const isStranded = (w) => w.state !== 'sent' && !isWanted(w.message.room);
  const rest = new Map([...pending].filter(([, w]) => !isStranded(w)));
  return [rest, [...pending.values()].filter(isStranded)];
}

/** When the next held gift is due, or null. Those of other rooms are due when these are joined. */
export function nextRetryMs(pending, isJoined) {
  const held = [...pending.values()].filter((w) => w.state === 'held' && isJoined(w.message.room));
  const times = held.map((w) => w.retryAtMs);
  return times.length ? Math.min(...times) : null;
}

function change(pending, which, how) {
  return new Map([...pending].map(([key, w]) => [key, which(w) ? how(w) : w]));
}

/**
 * A UUIDv7 (RFC 9562): 48 bits of time, then 74 random bits. Time first, so that keys made one
 * after the other lie next to each other in the server's index.
 * @param {number} nowMs
 * @param {Uint8Array} random 10 random bytes
 */
export function uuidv7(nowMs, random) {
  const bytes = new Uint8Array(16);
  for (let i = 0; i < 6; i++) bytes[i] = Math.floor(nowMs / 256 ** (5 - i)) % 256;
  bytes.set(random.subarray(0, 10), 6);
  bytes[6] = 0x70 | (bytes[6] & 0x0f);
  bytes[8] = 0x80 | (bytes[8] & 0x3f);
  const hex = [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join('');
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-');
}
