/**
 * largesse.js: the client library, and the reference for anyone who writes another one.
 *
 *     import { Largesse } from '/static/largesse.js';
 *
 *     const client = new Largesse({ token });
 *     client.addEventListener('gift', ({ detail }) => console.log(detail.name, detail.coins));
 *     client.connect();
 *     client.join('room-1');
 *     const answer = await client.gift({ room: 'room-1', gift: 'spark', quantity: 10 });
 *     if (answer.type === 'refused') alert(answer.message);
 *
 * What it takes care of, so that you need not: reconnecting with full-jitter back-off, resuming
 * where it left off, dropping what it has had, proving that every frame adds up, and sending an
 * unanswered gift again under the key it was given first, so that it is booked exactly once.
 *
 * This file is the shell: socket, timers, clock, promises, events. Everything that is decided is
 * decided in session.js, which is pure. Files: backoff.js, effects.js, log.js, pending.js, rooms.js,
 * session.js; copy all seven. MIT licence.
 *
 * Events (`event.detail` holds the fields; those marked * are the server's messages, protocol.md 1.2)
 *
 * | event | when |
 * | --- | --- |
 * | `state` | `{phase}`: `connecting`, `live`, `reconnecting` `{in_ms, at_ms, code, message}`, `refused` `{code, message}`, `closed` |
 * | `welcome` * `joined` * `left` * | `joined.recovered` false: take its totals and board as the new start |
 * | `gift` `gift_retracted` `gift_hidden` `goal` `room_closed` | one entry of the log (and `room`), checked, in order, once |
 * | `events` * | after the entries of a frame; here for `omitted` |
 * | `verified` | `{room, seq, totalCoins, verified, mismatches}` after each frame that added up |
 * | `mismatch` | `{room, what, expected, got, first, last, mismatches}`: the books do not add up; a snapshot follows |
 * | `gap` | `{room, expected, first}`: something was missing; it is being fetched |
 * | `accepted` * `refused` * | answers to gifts (also the promise's) and refusals of `join` (with `room`) |
 * | `delayed` * | a gift was refused with `retry: same` and will be sent again by itself |
 * | `board` * `standing` * `viewers` * `combo_ended` * `balance` * `level_up` * `notice` * `heartbeat` * `pong` * | as they come |
 */

import { uuidv7 } from './pending.js';
import { newSession, PROTOCOL, step } from './session.js';

export { uuidv7 };

/** The WebSocket address of the server that this page came from. */
export function sameHostUrl(location = globalThis.location) {
  return `${location.protocol === 'https:' ? 'wss' : 'ws'}://${location.host}/v1/ws`;
}

export class Largesse extends EventTarget {
  #options;
  #session = newSession();
  #socket = null;
  #timers = new Map();
  #answers = new Map(); // key → [promise, resolve]
  #inputs = [];         // what came in while effects were being performed
  #running = false;

  /**
   * @param {object} options
   * @param {string | (() => string | Promise<string>)} options.token  a function is asked before each
   *   connection, so that it can fetch a fresh token
   * @param {string} [options.url]  default: `/v1/ws` of the page's host
   * @param {'hello'|'query'} [options.tokenIn]  `query` puts the token into the address; the server
   *   takes only overlay tokens there
   * @param {typeof WebSocket} [options.WebSocket] @param {() => number} [options.now]
   * @param {() => number} [options.random]  for tests, and for node before version 22
   */
  constructor(options) {
    super();
    this.#options = { url: options.url ?? sameHostUrl(), tokenIn: 'hello', now: Date.now,
      random: Math.random, WebSocket: globalThis.WebSocket, ...options };
  }

  // ---- what you call ------------------------------------------------------------------------

  /** Connect, and stay connected until `close` or a refusal. With a token: come back as another. */
  connect(token) {
    if (token !== undefined) this.#options.token = token;
    this.#run({ type: 'start' });
  }

  /** Leave for good. Unanswered gifts resolve as `{type: 'unknown'}`. */
  close() {
    this.#run({ type: 'stop' });
  }

  /** Follow a room, now and after every reconnect. Answered by the event `joined` or `refused`. */
  join(room) {
    this.#run({ type: 'join', room });
  }

  /** Stop following a room. Gifts that wait for it are answered, see `gift`. */
  leave(room) {
    this.#run({ type: 'leave', room });
  }

  /**
   * Give a gift into a room that you `join` or have joined. It is sent as soon as the room is joined,
   * and again, with the same key, until the server has answered.
   *
   * After `leave`, or a refused `join`, a gift that was never sent is answered here: `refused` with
   * the code `not_joined` and `local: true`. So is a gift into a room that you did not `join`. One
   * that is on its way is still answered by the server, unless the connection breaks first or the
   * server would have it sent again: then the answer is `unknown`.
   *
   * @param {object} gift
   * @param {string} gift.room @param {string} gift.gift @param {number} [gift.quantity]
   * @param {string} [gift.to] @param {number} [gift.price]  coins per gift that you showed
   * @param {string} [gift.message] @param {'public'|'anonymous'} [gift.visibility]
   * @param {string} [gift.key]  only to send again a gift whose answer was `unknown`, or
   *   which an earlier page never saw
   * @returns {Promise<object>} the server's `accepted` or `refused` message; never rejects.
   *   `{type: 'unknown', key, message}` when no answer can come any more, because of `close` or as
   *   above: the gift may or may not have been booked. To learn what became of it, `join` the room
   *   and give it again later with that key and the same fields: `gift({ ...fields, key })`. If it
   *   was booked you get the first answer again (`replayed`); if not, it is booked now, once.
   */
  gift({ key = this.newKey(), ...fields }) {
    const known = this.#answers.get(key);
    if (known) return known[0];
    let resolve;
    const promise = new Promise((done) => { resolve = done; });
    this.#answers.set(key, [promise, resolve]);
    this.#run({ type: 'gift', message: { type: 'gift', ...fields, key } });
    return promise;
  }

  /** Ask for the own place on the board; answered by the event `standing`. */
  standing(room) {
    this.#send({ type: 'standing', room });
  }

  /** Overlays: everything up to `seq` has been shown. */
  shown(room, seq) {
    this.#send({ type: 'shown', room, seq });
  }

  ping() {
    this.#send({ type: 'ping' });
  }

  /** A new key for a gift. */
  newKey() {
    return uuidv7(this.#options.now(), crypto.getRandomValues(new Uint8Array(10)));
  }

  // ---- what you can look at -----------------------------------------------------------------

  /** `idle`, `connecting`, `greeting`, `live`, `waiting`, `refused` or `closed`. */
  get phase() {
    return this.#session.phase;
  }

  /** How many gifts wait for their answer. */
  get unanswered() {
    return this.#session.pending.size;
  }

  /** What is known of a room's log: `{epoch, seq, totalCoins, verified, joined, mismatches}` or null. */
  log(room) {
    const state = this.#session.rooms.get(room);
    return state?.log ? { ...state.log, joined: state.joined, mismatches: state.mismatches } : null;
  }

  // ---- the shell ----------------------------------------------------------------------------

  /** One input at a time: a listener that calls us back is served after the present effects. */
  #run(input) {
    this.#inputs.push(input);
    if (this.#running) return;
    this.#running = true;
    try {
      while (this.#inputs.length) this.#stepOnce(this.#inputs.shift());
    } finally {
      this.#running = false;
    }
  }

  #stepOnce(input) {
    const { now, random } = this.#options;
    const [session, effects] = step(this.#session, { ...input, now_ms: now(), random: random() });
    this.#session = session;
    for (const effect of effects) this.#perform(effect);
  }

  #perform(effect) {
    switch (effect.do) {
      case 'connect': return void this.#open();
      case 'hello': return void this.#hello();
      case 'send': return this.#send(effect.message);
      case 'drop': return this.#drop(effect);
      case 'timer': return this.#setTimer(effect);
      case 'cancel_timers': return this.#cancelTimers();
      case 'emit': return void this.dispatchEvent(new CustomEvent(effect.name, { detail: effect.detail }));
      case 'answer': return this.#answer(effect);
      default: throw new TypeError(`unknown effect ${effect.do}`);
    }
  }

  async #open() {
    const address = new URL(this.#options.url);
    if (this.#options.tokenIn === 'query') address.searchParams.set('token', await this.#token());
    if (this.#session.phase !== 'connecting') return; // closed while the token was being fetched
    const socket = new this.#options.WebSocket(address.href);
    this.#socket = socket;
    // A socket that was dropped may still speak; only the present one is listened to.
    const listen = (name, input) => socket.addEventListener(name, (event) => {
      if (socket === this.#socket) this.#run(input(event));
    });
    listen('open', () => ({ type: 'opened' }));
    listen('message', ({ data }) => ({ type: 'message', message: JSON.parse(data) }));
    listen('close', ({ code, reason }) => ({ type: 'closed', code, reason }));
  }

  async #hello() {
    if (this.#options.tokenIn === 'query') return; // the address has said it
    const socket = this.#socket;
    const token = await this.#token();
    if (socket === this.#socket) this.#send({ type: 'hello', token, protocol: PROTOCOL });
  }

  async #token() {
    const { token } = this.#options;
    return typeof token === 'function' ? token() : token;
  }

  #send(message) {
    // Nothing is lost by not sending on a dead line: gifts and joins are asked again after the next
    // welcome, and the rest is about a moment that has passed.
    if (this.#socket?.readyState === 1) this.#socket.send(JSON.stringify(message));
  }

  /** Not waiting for the close handshake: on a dead line it takes minutes. */
  #drop({ code, reason }) {
    const socket = this.#socket;
    this.#socket = null;
    socket?.close(code, reason);
    this.#run({ type: 'closed', code, reason });
  }

  #setTimer({ name, room, in_ms }) {
    const id = `${name}:${room}`;
    clearTimeout(this.#timers.get(id));
    this.#timers.set(id, setTimeout(() => {
      this.#timers.delete(id);
      this.#run({ type: 'timer', name, room });
    }, in_ms));
  }

  #cancelTimers() {
    for (const timer of this.#timers.values()) clearTimeout(timer);
    this.#timers.clear();
  }

  #answer({ key, message }) {
    const known = this.#answers.get(key);
    this.#answers.delete(key);
    known?.[1](message);
  }
}
