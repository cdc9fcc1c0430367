/**
 * Who is watching which room: finds the token and the room, or says that there is none.
 *
 * A token comes in the address's fragment, which browsers never send to a server, and is moved to
 * sessionStorage at once, so that it does not stay in the address bar, the history or a screenshot.
 */

const TOKEN = 'largesse.token';
const ROOM = 'largesse.room';
const UNTRIED = 'largesse.untried'; // the token was made by the demo and has not been welcomed yet

/** @returns {{token: string|null, room: string|null}} what address and session say */
export function placeFromAddress() {
  const fragment = new URLSearchParams(location.hash.slice(1));
  const query = new URLSearchParams(location.search);
  if (fragment.has('token')) {
    remember(fragment.get('token'), query.get('room'));
    history.replaceState(null, '', location.pathname + location.search);
  }
  return { token: sessionStorage.getItem(TOKEN), room: query.get('room') ?? sessionStorage.getItem(ROOM) };
}

export function remember(token, room) {
  sessionStorage.setItem(TOKEN, token);
  if (room) sessionStorage.setItem(ROOM, room);
}

export function forget() {
  sessionStorage.removeItem(TOKEN);
  sessionStorage.removeItem(ROOM);
}

/** The server took the token. */
export function welcomed() {
  sessionStorage.removeItem(UNTRIED);
}

/**
 * `largesse demo` makes viewers up; any other server has no such address. Null when it has not, and
 * when the last one it made was refused: asking again and again would help nobody.
 */
export async function demoPlace() {
  if (sessionStorage.getItem(UNTRIED)) { sessionStorage.removeItem(UNTRIED); return null; }
  const answer = await fetch('/demo/viewer', { method: 'POST' }).catch(() => null);
  if (!answer?.ok) return null;
  const { token, room } = await answer.json();
  sessionStorage.setItem(UNTRIED, 'yes');
  return { token, room: new URLSearchParams(location.search).get('room') ?? room };
}
