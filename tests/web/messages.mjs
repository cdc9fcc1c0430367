/** Server messages for tests: the smallest that are complete, with any field replaced. */

export const gift = (seq, coins, more = {}) => ({
  kind: 'gift', seq, id: `g${seq}`, at_ms: 1_000 + seq, from: { id: 'ann', name: 'Ann', level: 1 },
  to: { id: 'cleo', name: 'Cleo' }, gift: 'spark', name: 'Spark', animation: 'tray', quantity: 1,
  coins, combo: null, merged: 1, ...more,
});

export const retraction = (seq, coins, more = {}) => ({
  kind: 'gift_retracted', seq, id: `r${seq}`, at_ms: 1_000 + seq, gift_id: 'g1', gift_seq: 1,
  from: { id: 'ann', name: 'Ann', level: 1 }, to: { id: 'cleo', name: 'Cleo' }, gift: 'spark', coins,
  reason: 'fraud', ...more,
});

/** A frame of `events` that follows on `before` coins and adds up, unless `more` says otherwise. */
export function frame(first, before, events, more = {}) {
  const omitted = more.omitted ?? { gifts: 0, coins: 0 };
  const sum = events.reduce((coins, event) => coins
    + (event.kind === 'gift' ? event.coins : event.kind === 'gift_retracted' ? -event.coins : 0), 0);
  return { type: 'events', room: 'r', epoch: 'e1', first, last: first + events.length - 1,
    total_before: before, total_coins: before + sum + omitted.coins, events, omitted, ...more };
}

export const joined = (seq, total, more = {}) => ({
  type: 'joined', room: 'r', title: 'A room', creator: { id: 'cleo', name: 'Cleo' }, status: 'open',
  epoch: 'e1', seq, recovered: false, total_coins: total, viewers: 1,
  board: { as_of: seq, window: 'session', top: [] }, me: { coins: 0, rank: null }, balance_coins: 500,
  ...more,
});

export const welcome = (more = {}) => ({
  type: 'welcome', protocol: 1, session: 's', user: { id: 'ann', name: 'Ann' }, role: 'viewer',
  now_ms: 0, heartbeat_ms: 10_000, catalogue: '1', ...more,
});

export const accepted = (key, seq, coins, more = {}) => ({
  type: 'accepted', key, room: 'r', seq, gift: 'spark', quantity: 1, coins, balance_coins: 500 - coins,
  total_coins: coins, me: { coins, rank: 1 }, combo: null, at_ms: 0, replayed: false, ...more,
});
