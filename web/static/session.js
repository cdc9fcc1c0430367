/**
 * The client's side of the protocol as one pure function: `step(session, input)` answers with the
 * next session and a list of effects. No socket, no clock, no randomness, no DOM: inputs carry
 * `now_ms` and `random` (0 ≤ random < 1), effects.js lists what can come out. largesse.js performs
 * the effects; node's test runner reads them (tests/web).
 *
 *     idle ──start──▶ connecting ──opened──▶ greeting ──welcome──▶ live
 *                        ▲                                          │ closed, or silent too long
 *                        └────────── timer ────── waiting ◀─────────┤
 *                                                                   │ closed with 4500–4999
 *     closed ◀── stop (from anywhere)              refused ◀────────┘   (start may follow)
 */

import { closeSentence, comesBack, reconnectMs } from './backoff.js';
import { answer, cancelTimers, connect, drop, emit, hello, send, timer } from './effects.js';
import * as gifts from './pending.js';
import { ask, disconnected, newRoom, onBehind, onFrame, onHead, onJoined } from './rooms.js';

export const PROTOCOL = 1;
/** Without a frame for this many heartbeats the line is dead, whatever TCP believes. */
export const HEARTBEATS_MISSED_MAX = 2.5;
/** Until `welcome` names the heartbeat: how long opening and greeting may take, in the same measure. */
const HEARTBEAT_GUESS_MS = 4_000;
/** A connection that lived this long had worked: the next one starts without back-off. */
const WORKED_MS = 10_000;
/** Messages that listeners get just as they came. */
const PASSED_ON = new Set(
  ['left', 'board', 'standing', 'viewers', 'combo_ended', 'balance', 'level_up', 'pong']);

export function newSession() {
  return {
    phase: 'idle',
    attempt: 0,          // tries since a connection that had worked
    asks: 0,             // `join` messages ever sent: numbers their ids
    liveSinceMs: null,
    lastFrameMs: 0,
    heartbeatMs: HEARTBEAT_GUESS_MS,
    reconnectAfterMs: 0, // what `notice` asked for, for the next close only
    rooms: new Map(),    // name → Room
    pending: new Map(),  // key → Waiting
  };
}

/** @returns {[object, object[]]} the next session, and what the shell has to do */
export function step(session, input) {
  switch (input.type) {
    case 'start': return start(session, input);
    case 'opened': return [{ ...session, phase: 'greeting' }, [hello()]];
    case 'message': return received({ ...session, lastFrameMs: input.now_ms }, input);
    case 'closed': return closed(session, input);
    case 'timer': return rang(session, input);
    case 'join': return join(session, input.room);
    case 'leave': return leave(session, input.room);
    case 'gift': return gift(session, input);
    case 'stop': return stop(session);
    default: throw new TypeError(`unknown input ${input.type}`);
  }
}

// ---- the connection -------------------------------------------------------------------------

function start(session, { now_ms }) {
  if (['connecting', 'greeting', 'live'].includes(session.phase)) return [session, []];
  const next = { ...session, phase: 'connecting', liveSinceMs: null, lastFrameMs: now_ms,
    heartbeatMs: HEARTBEAT_GUESS_MS };
  return [next, [cancelTimers(), connect(), timer('watchdog', silenceMaxMs(next)),
    emit('state', { phase: 'connecting' })]];
}

const silenceMaxMs = (session) => HEARTBEATS_MISSED_MAX * session.heartbeatMs;

function welcomed(session, message, now_ms) {
  const next = { ...session, phase: 'live', liveSinceMs: now_ms, reconnectAfterMs: 0,
    heartbeatMs: message.heartbeat_ms ?? HEARTBEAT_GUESS_MS };
  const first = [timer('watchdog', silenceMaxMs(next)), emit('welcome', message),
    emit('state', { phase: 'live' })];
  return [...next.rooms.keys()].reduce(
    ([now, effects], name) => after(effects, inRoom(now, name, ask)), [next, first]);
}

function closed(session, { code, reason, now_ms, random }) {
  if (session.phase === 'closed' || session.phase === 'waiting') return [session, []];
  const rooms = new Map([...session.rooms].map(([name, room]) => [name, disconnected(room)]));
  const [lost, answers] = answerStranded(
    { ...session, rooms, pending: gifts.lineBroke(session.pending), liveSinceMs: null });
  const why = { code, message: reason || closeSentence(code) };
  if (!comesBack(code)) {
    return [{ ...lost, phase: 'refused' },
      [cancelTimers(), ...answers, emit('state', { phase: 'refused', ...why })]];
  }
  const worked = session.liveSinceMs !== null && now_ms - session.liveSinceMs >= WORKED_MS;
  const attempt = worked ? 0 : session.attempt;
  const inMs = reconnectMs(attempt, random, session.reconnectAfterMs);
  const state = { phase: 'reconnecting', in_ms: inMs, at_ms: now_ms + inMs, ...why };
  return [{ ...lost, phase: 'waiting', attempt: attempt + 1, reconnectAfterMs: 0 },
    [cancelTimers(), timer('reconnect', inMs), ...answers, emit('state', state)]];
}

function stop(session) {
  const answers = [...session.pending.keys()].map(
    (key) => answer(key, unknown(key, 'The connection was closed before the answer came.')));
  return [{ ...session, phase: 'closed', pending: new Map() },
    [cancelTimers(), drop(1000, 'closed by the client'), ...answers, emit('state', { phase: 'closed' })]];
}

function rang(session, input) {
  switch (input.name) {
    case 'reconnect': return start(session, input);
    case 'watchdog': return watch(session, input.now_ms);
    case 'behind': return inRoom(session, input.room, onBehind);
    case 'ask': return inRoom(session, input.room, ask);
    case 'resend': return sendDue(session, input.now_ms);
    default: throw new TypeError(`unknown timer ${input.name}`);
  }
}

/** One long timer that looks at the time of the last frame, and not one that every frame restarts. */
function watch(session, now_ms) {
  const leftMs = session.lastFrameMs + silenceMaxMs(session) - now_ms;
  if (leftMs > 0) return [session, [timer('watchdog', leftMs)]];
  return [session, [drop(4002, '')]];
}

// ---- messages -------------------------------------------------------------------------------

function received(session, input) {
  const { message, now_ms } = input;
  switch (message.type) {
    case 'welcome': return welcomed(session, message, now_ms);
    case 'joined': {
      const joined = inRoom(session, message.room, (room, id) => onJoined(room, message, id));
      return after(joined[1], sendDue(joined[0], now_ms));
    }
    case 'events': return inRoom(session, message.room, (room, id) => onFrame(room, message, id));
    case 'heartbeat': return after([emit('heartbeat', message)], heads(session, message.rooms ?? {}));
    case 'accepted': return accepted(session, message);
    case 'refused': return refused(session, message, input);
    case 'notice':
      return [{ ...session, reconnectAfterMs: message.reconnect_after_ms ?? session.reconnectAfterMs },
        [emit('notice', message)]];
    default:
      return [session, PASSED_ON.has(message.type) ? [emit(message.type, message)] : []];
  }
}

// ---- rooms ----------------------------------------------------------------------------------

function join(session, name) {
  if (session.rooms.has(name)) return [session, []];
  const next = { ...session, rooms: new Map(session.rooms).set(name, newRoom(name)) };
  return session.phase === 'live' ? inRoom(next, name, ask) : [next, []];
}

function leave(session, name) {
  const rooms = new Map(session.rooms);
  if (!rooms.delete(name)) return [session, []];
  const told = session.phase === 'live' ? [send({ type: 'leave', room: name })] : [];
  return after(told, answerStranded({ ...session, rooms }));
}

/** Let `change` decide about one room; `id` is a fresh id in case it has to ask. */
function inRoom(session, name, change) {
  const room = session.rooms.get(name);
  if (!room) return [session, []]; // left meanwhile: what is still on the way is of no interest
  const [next, effects] = change(room, `join-${session.asks + 1}`);
  return [{ ...session, asks: session.asks + 1, rooms: new Map(session.rooms).set(name, next) }, effects];
}

function heads(session, headByRoom) {
  return Object.entries(headByRoom).reduce(
    ([now, effects], [name, head]) => after(effects, inRoom(now, name, (room) => onHead(room, head))),
    [session, []]);
}

const after = (before, [session, effects]) => [session, [...before, ...effects]];

// ---- gifts ----------------------------------------------------------------------------------

function gift(session, { message, now_ms }) {
  const { key } = message;
  if (session.phase === 'closed' || session.phase === 'refused') {
    return [session, [answer(key, refusedHere(key, 'not_connected', 'You are not connected.'))]];
  }
  if (!session.rooms.has(message.room)) return [session, [answer(key, notJoined(key))]];
  if (session.pending.size >= gifts.PENDING_MAX) {
    return [session, [answer(key, refusedHere(key, 'busy', 'Too many gifts are still waiting for an answer.'))]];
  }
  return sendDue({ ...session, pending: gifts.keep(session.pending, message) }, now_ms);
}

/** A refusal in the server's shape that never left this client, so nothing can have been booked. */
const refusedHere = (key, code, message, retry = 'new') =>
  ({ type: 'refused', key, code, message, retry, local: true });

const notJoined = (key) => refusedHere(key, 'not_joined', 'You are not in this room.', 'fix');

/** No answer will come any more, and the gift may or may not have been booked. */
const unknown = (key, message) => ({ type: 'unknown', key, message });

/** Answer the gifts that can neither go out nor be answered by the server any more. */
function answerStranded(session) {
  const [pending, stranded] = gifts.takeStranded(session.pending, (name) => session.rooms.has(name));
  const answers = stranded.map(({ message: { key }, wasSent }) => answer(key,
    wasSent ? unknown(key, 'You are not in this room any more, and the answer has not come.') : notJoined(key)));
  return [{ ...session, pending }, answers];
}

function sendDue(session, now_ms) {
  if (session.phase !== 'live') return [session, []];
  const isJoined = (name) => session.rooms.get(name)?.joined === true;
  const [pending, messages] = gifts.takeDue(session.pending, now_ms, isJoined);
  const dueMs = gifts.nextRetryMs(pending, isJoined);
  const effects = messages.map(send);
  if (dueMs !== null) effects.push(timer('resend', Math.max(0, dueMs - now_ms)));
  return [{ ...session, pending }, effects];
}

function accepted(session, message) {
  const told = [answer(message.key, message), emit('accepted', message)];
  return [{ ...session, pending: gifts.settle(session.pending, message.key) }, told];
}

function refused(session, message, input) {
  if (session.pending.has(message.key)) return giftRefused(session, message, input);
  const asking = [...session.rooms.values()].find((room) => message.id && room.askedId === message.id);
  if (!asking) return [session, [emit('refused', message)]];
  return joinRefused(session, asking, message);
}

function giftRefused(session, message, { now_ms, random }) {
  if (message.retry !== 'same') {
    return [{ ...session, pending: gifts.settle(session.pending, message.key) },
      [answer(message.key, message), emit('refused', message)]];
  }
  const held = { ...session, pending: gifts.hold(session.pending, message.key, message, now_ms, random) };
  const { room } = session.pending.get(message.key).message;
  if (!session.rooms.has(room)) return after([emit('refused', message)], answerStranded(held));
  return after([emit('delayed', message)], sendDue(held, now_ms));
}

/** Busy servers are asked again; a room that does not exist or is not for us is given up. */
function joinRefused(session, room, message) {
  const told = emit('refused', { ...message, room: room.name });
  if (message.retry === 'same') {
    const inMs = message.retry_after_ms ?? message.details?.retry_after_ms ?? gifts.RETRY_DEFAULT_MS;
    return [session, [timer('ask', inMs, room.name), told]];
  }
  const rooms = new Map(session.rooms);
  rooms.delete(room.name);
  return after([told], answerStranded({ ...session, rooms }));
}
