/**
 * The life of one joined room on the client. Pure: a room and a message in, a room and effects out.
 *
 *     asked ──joined──▶ following ──gap, or behind for 2 s──▶ asked (with resume)
 *                           └──────the sums do not add up──▶ asked (without: a new snapshot)
 *
 * While we have asked and not been answered, `events` frames are dropped: the server sends the same
 * entries again after `joined`, from the seq we named. Applying them at once and hoping that the
 * catch-up is cut at the same places was the alternative; merged frames make that hope vain.
 */

import { backoffCeilingMs } from './backoff.js';
import { emit, send, timer } from './effects.js';
import { readFrame, startLog } from './log.js';

/** A heartbeat may overtake a frame that is on its way; this is how long we believe that. */
export const BEHIND_MS = 2_000;
/** After so many resumes in a row that led nowhere, only a new snapshot can help. */
const RESUMES_MAX = 3;

/** Kinds of entries that are events of the client by themselves; others are only in `events`. */
const KINDS = new Set(['gift', 'gift_retracted', 'gift_hidden', 'goal', 'room_closed']);

/**
 * @typedef {object} Room
 * @property {string} name
 * @property {import('./log.js').Log|null} log  null before the first snapshot
 * @property {boolean} joined        true between `joined` and the next question or close
 * @property {string|null} askedId   the `id` of the `join` that is not answered yet
 * @property {boolean} wantsSnapshot the next question must not resume: our log is not to be trusted
 * @property {number} headSeq        the furthest head that the server told us of
 * @property {number} behindAtSeq    where our log was when the timer `behind` was set
 * @property {number} fruitless      questions asked since the last frame that fitted
 * @property {number} mismatches     frames whose sums did not add up, ever
 */

/** @returns {Room} */
export function newRoom(name) {
  return { name, log: null, joined: false, askedId: null, wantsSnapshot: false,
    headSeq: 0, behindAtSeq: 0, fruitless: 0, mismatches: 0 };
}

/** Ask to join: from where we left off when there is such a place, else from a snapshot. */
export function ask(room, id) {
  const message = { type: 'join', room: room.name, id };
  const { log } = room;
  if (log && !room.wantsSnapshot) message.resume = { epoch: log.epoch, seq: log.seq };
  return [{ ...room, joined: false, askedId: id }, [send(message)]];
}

/** The connection is gone: keep the log, forget what belonged to the connection. */
export function disconnected(room) {
  return { ...room, joined: false, askedId: null, headSeq: 0 };
}

/** `joined`: either our log goes on (`recovered`), or a new one starts here. */
export function onJoined(room, message, id) {
  // The answer to an older question than our latest: the latest will be answered too.
  if (message.id !== undefined && message.id !== room.askedId) return [room, []];
  const goesOn = message.recovered && room.log !== null && !room.wantsSnapshot;
  if (goesOn && message.seq < room.log.seq) return startAgain(room, shrank(room.log, message), id);
  const log = goesOn ? room.log : startLog(message, room.log?.verified);
  const next = { ...room, log, joined: true, askedId: null, wantsSnapshot: false,
    headSeq: message.seq, behindAtSeq: log.seq };
  const effects = [emit('joined', { ...message, recovered: goesOn })];
  if (message.seq > log.seq) effects.push(timer('behind', BEHIND_MS, room.name));
  return [next, effects];
}

function shrank(log, message) {
  return { what: 'log_shrank', expected: log.seq, got: message.seq, first: message.seq, last: message.seq };
}

/** `events`: shown only when it is the next frame and adds up. */
export function onFrame(room, frame, id) {
  if (!room.joined) return [room, []];
  const { verdict, log, problem } = readFrame(room.log, frame);
  switch (verdict) {
    case 'next':
      return [{ ...room, log, fruitless: 0 }, tell(room, frame, log)];
    case 'repeat':
      return [room, []];
    case 'gap':
      return resume(room, frame.first, id);
    case 'mismatch':
      return startAgain(room, problem, id);
    default:
      throw new TypeError(`unknown verdict ${verdict}`);
  }
}

function tell(room, frame, log) {
  const known = frame.events.filter((event) => KINDS.has(event.kind));
  return [
    ...known.map((event) => emit(event.kind, { ...event, room: room.name })),
    emit('events', frame),
    emit('verified', { room: room.name, ...log, mismatches: room.mismatches }),
  ];
}

/** `heartbeat`: remember the head; look again in 2 s when we are behind it. */
export function onHead(room, headSeq) {
  if (!room.joined || headSeq <= room.log.seq) return [room, []];
  const waitsAlready = room.headSeq > room.log.seq;
  // A running timer is left alone: restarted by every heartbeat it might never ring.
  if (waitsAlready) return [{ ...room, headSeq: Math.max(headSeq, room.headSeq) }, []];
  return [{ ...room, headSeq, behindAtSeq: room.log.seq }, [timer('behind', BEHIND_MS, room.name)]];
}

/** The 2 s are over: who is still behind, and has not moved, asks for what is missing. */
export function onBehind(room, id) {
  if (!room.joined || room.headSeq <= room.log.seq) return [room, []];
  if (room.log.seq > room.behindAtSeq) {
    // A long catch-up is under way; asking again would only start it anew.
    return [{ ...room, behindAtSeq: room.log.seq }, [timer('behind', BEHIND_MS, room.name)]];
  }
  return resume(room, room.headSeq, id);
}

function resume(room, first, id) {
  const fruitless = room.fruitless + 1;
  const wantsSnapshot = room.wantsSnapshot || fruitless > RESUMES_MAX;
  const gap = emit('gap', { room: room.name, expected: room.log.seq + 1, first });
  const [asked, effects] = askPatiently({ ...room, fruitless, wantsSnapshot }, id);
  return [asked, [gap, ...effects]];
}

function startAgain(room, problem, id) {
  const mismatches = room.mismatches + 1;
  const wrong = { ...room, mismatches, fruitless: room.fruitless + 1, wantsSnapshot: true };
  const [asked, effects] = askPatiently(wrong, id);
  return [asked, [emit('mismatch', { room: room.name, mismatches, ...problem }), ...effects]];
}

/** The first question goes out at once; a server that is wrong every time is asked ever less often. */
function askPatiently(room, id) {
  if (room.fruitless <= 1) return ask(room, id);
  return [{ ...room, joined: false }, [timer('ask', backoffCeilingMs(room.fruitless), room.name)]];
}
