/**
 * A wallet's `limits` in words, and a form's texts as changes to them. Pure: the time zone and how an
 * amount is written are arguments.
 */

export const WINDOWS = [
  { name: 'daily', title: 'Last 24 hours' },
  { name: 'weekly', title: 'Last 7 days' },
  { name: 'monthly', title: 'Last 30 days' },
];

/** The four limits that a person can set: the key of `PUT …/limits`, and how it is called. */
export const OWN_LIMITS = [
  { key: 'daily_coins', name: 'daily', label: 'In any 24 hours', spoken: 'limit for 24 hours' },
  { key: 'weekly_coins', name: 'weekly', label: 'In any 7 days', spoken: 'limit for 7 days' },
  { key: 'monthly_coins', name: 'monthly', label: 'In any 30 days', spoken: 'limit for 30 days' },
  { key: 'per_gift_coins', name: 'per_gift', label: 'For one gift', spoken: 'limit for one gift' },
];

const WHOSE = {
  own: 'your own limit',
  default: 'the limit of this server',
  first_day: 'the limit of your first 24 hours here',
};

/** Refusals that the page about spending can say more about. */
export function aboutSpending(code) {
  return code.startsWith('limit_') || code === 'gifting_paused' || code === 'account_frozen';
}

/** "Wed, Jun 3, 2:05 PM", in the reader's own time zone unless another is named. */
export function moment(ms, timeZone = undefined) {
  return new Intl.DateTimeFormat('en', { weekday: 'short', month: 'short', day: 'numeric', hour: 'numeric',
    minute: '2-digit', timeZone }).format(ms).replace(/[\u202f\u00a0]/g, ' ');
}

/**
 * What was spent in one window, what is left and when more of it frees.
 * @param {object} window `{limit_coins, source, spent_coins, left_coins, frees_ms}`
 * @param {(amount: number) => string} written an amount of coins with its price
 */
export function windowWords(window, written, timeZone) {
  const bought = window.limit_coins !== null && window.source !== 'own';
  const spent = `${written(window.spent_coins)} spent${bought ? ', not counting coins you were given' : ''}`;
  if (window.limit_coins === null) return { spent, left: 'No limit is set.', frees: '' };
  const left = `${written(Math.max(0, window.left_coins))} left of ${written(window.limit_coins)}: ${WHOSE[window.source] ?? 'the limit'}.`;
  return { spent, left, frees: freesWords(window, timeZone) };
}

function freesWords({ left_coins: left, frees_ms: at }, timeZone) {
  if (!at) return '';
  return left > 0 ? `More is free again from ${moment(at, timeZone)}.` : `Nothing more until ${moment(at, timeZone)}.`;
}

/** Another limit may be the tighter one; then only `own_coins`, where the server tells it, is the own. */
const ownOf = (window) => window.own_coins ?? (window.source === 'own' ? window.limit_coins : null);

/** The own limits as they stand, by the key of the form; null where there is none. */
export function ownLimits(limits) {
  const own = WINDOWS.map(({ name }) => [`${name}_coins`, ownOf(limits[name])]);
  return { ...Object.fromEntries(own), per_gift_coins: limits.per_gift_coins ?? null };
}

/**
 * What a form asks to change.
 * @param {Record<string, string>} texts what stands in the fields, by key; empty: no own limit
 * @returns {{changes: object} | {field: string, problem: string}}
 */
export function changesIn(texts, limits) {
  const own = ownLimits(limits);
  const changes = {};
  for (const { key } of OWN_LIMITS) {
    const text = texts[key].trim();
    if (text && !/^\d{1,9}$/.test(text)) return { field: key, problem: 'Write whole coins in digits, for example 500.' };
    const amount = text ? Number(text) : null;
    if (amount !== own[key]) changes[key] = amount;
  }
  return { changes };
}

/** Raises that wait: which limit (a key of the form), and a sentence. @returns {{key: string, text: string}[]} */
export function waitingRaises(limits, written, timeZone) {
  return OWN_LIMITS.flatMap((limit) => {
    const raise = raiseOf(limits, limit);
    if (!raise) return [];
    const becomes = raise.coins === null ? 'ends' : `rises to ${written(raise.coins)}`;
    return [{ key: limit.key, text: `Your ${limit.spoken} ${becomes} on ${moment(raise.at_ms, timeZone)}.` }];
  });
}

function raiseOf(limits, { name, key }) {
  return (limits.raises ?? []).find(({ limit }) => limit === name || limit === key);
}

/** What the server made of the changes: what counts now, and what waits. */
export function savedWords(changes, limits, written, timeZone) {
  const now = OWN_LIMITS.filter((limit) => limit.key in changes && !raiseOf(limits, limit)).map(({ key, spoken }) => (
    changes[key] === null ? `You have no ${spoken} of your own.` : `Your ${spoken} is now ${written(changes[key])}.`));
  const later = waitingRaises(limits, written, timeZone).map(({ text }) => text);
  return ['Saved.', ...now, ...later].join(' ');
}

/** What a person must know before a pause starts. */
export function pauseWords(days, nowMs, timeZone) {
  const until = moment(nowMs + days * 86_400_000, timeZone);
  const span = days === 1 ? '24 hours' : `${days} days`;
  return { question: `Pause gifting for ${span}?`, yes: `Pause for ${span}`,
    note: `Until ${until} you cannot send gifts. This cannot be undone early: nobody can end the pause before then.` };
}
