/** Asking the HTTP API as the user of a token; every no comes back as the server's own sentence. */

const NO_ANSWER = 'The server could not be reached. Look at your connection and try again.';
const NO_SENTENCE = 'The server did not say what is wrong. Try again in a moment.';

/**
 * @typedef {{ok: true, body: any} | {ok: false, status: number, code: string, sentence: string, open: boolean}} Answer
 *   `open`: it is not known, or not decided, what became of the wish; ask again with the same key
 */

/** @returns {Promise<Answer>} never rejects */
export async function ask(method, path, { token = null, body, key = null } = {}) {
  const headers = {};
  if (token) headers.Authorization = `Bearer ${token}`;
  if (body !== undefined) headers['Content-Type'] = 'application/json';
  if (key) headers['Idempotency-Key'] = key;
  try {
    const answer = await fetch(path, { method, headers, body: body === undefined ? undefined : JSON.stringify(body) });
    return readAnswer(answer.status, await answer.json().catch(() => null));
  } catch {
    return no(0, 'unreachable', NO_ANSWER, true);
  }
}

/** @param {number} status @param {any} body @returns {Answer} */
export function readAnswer(status, body) {
  if (status >= 200 && status < 300 && body !== null) return { ok: true, body };
  const error = body?.error ?? {};
  // A yes that cannot be read is a yes that we know nothing of.
  const open = status < 300 || status >= 500 || status === 429 || error.retry === 'same';
  return no(status, error.code ?? 'unknown', error.message ?? NO_SENTENCE, open);
}

const no = (status, code, sentence, open) => ({ ok: false, status, code, sentence, open });

/** Whose token this is, or null when it is none. Only to know which address to ask: the server checks it. */
export function userOf(token) {
  try {
    const claims = atob(token.split('.')[1].replaceAll('-', '+').replaceAll('_', '/'));
    const bytes = Uint8Array.from(claims, (letter) => letter.charCodeAt(0));
    return JSON.parse(new TextDecoder().decode(bytes)).sub ?? null;
  } catch {
    return null;
  }
}

/** The address of something of this user. */
export const ofUser = (user, what) => `/v1/users/${encodeURIComponent(user)}/${what}`;
