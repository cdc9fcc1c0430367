/**
 * Whether to come back after a close, and when. Pure: randomness is an argument.
 *
 * Full jitter (a delay anywhere between 0 and the ceiling) and not "ceiling ± 10 %": when a server
 * restarts, all its viewers lose their connection in the same moment, and only a wide spread keeps
 * them from returning in the same moment too.
 */

export const BACKOFF_BASE_MS = 500;
export const BACKOFF_CAP_MS = 30_000;

/** The longest wait before try number `attempt` (0 is the first). */
export function backoffCeilingMs(attempt) {
  return Math.min(BACKOFF_CAP_MS, BACKOFF_BASE_MS * 2 ** attempt);
}

/**
 * How long to wait before try number `attempt`.
 * @param {number} attempt 0 for the first try after a connection that had worked
 * @param {number} random  in [0, 1)
 * @param {number} [afterMs] what the server asked for (`reconnect_after_ms`): never earlier than this
 */
export function reconnectMs(attempt, random, afterMs = 0) {
  return afterMs + Math.floor(random * backoffCeilingMs(attempt));
}

/** 4500–4999 say "do not come back as you are"; every other close is worth another try. */
export function comesBack(code) {
  return code < 4500 || code > 4999;
}

const CLOSE_SENTENCES = {
  4000: 'The server is restarting.',
  4001: 'This connection was too slow to keep up.',
  4002: 'The server fell silent.',
  4003: 'The server had an error.',
  4500: 'The server did not understand this page. Reload it.',
  4501: 'This token is not valid. Open the page again from your stream, or paste a new token.',
  4502: 'This token has expired or was revoked. Open the page again from your stream, or paste a new token.',
  4503: 'This token may not be used here.',
  4504: 'This page speaks another version of the protocol than the server. Reload it.',
  4505: 'You have too many connections open. Close some tabs, then reload this one.',
};

/** A sentence for a person about a close code. */
export function closeSentence(code) {
  return CLOSE_SENTENCES[code] ?? (comesBack(code)
    ? 'The connection was lost.'
    : `The server refused this connection (code ${code}).`);
}
