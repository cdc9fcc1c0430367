/**
 * What the pure core can ask of the shell (largesse.js). Effects are plain values, so that a test
 * can read them; nothing else leaves the core.
 */

/** Open a connection. */
export const connect = () => ({ do: 'connect' });
/** Say hello with the token. The core never holds the token, so it cannot leak it. */
export const hello = () => ({ do: 'hello' });
/** Send one message. */
export const send = (message) => ({ do: 'send', message });
/** Give the connection up, and report it as closed with this code, without waiting for the peer. */
export const drop = (code, reason) => ({ do: 'drop', code, reason });
/** Ring after `inMs`, once. A timer of the same name and room is replaced. */
export const timer = (name, inMs, room = '') => ({ do: 'timer', name, room, in_ms: inMs });
/** Stop every timer: they belong to a connection that is gone. */
export const cancelTimers = () => ({ do: 'cancel_timers' });
/** Tell listeners. */
export const emit = (name, detail) => ({ do: 'emit', name, detail });
/** Resolve the promise of a gift with its final answer. */
export const answer = (key, message) => ({ do: 'answer', key, message });
