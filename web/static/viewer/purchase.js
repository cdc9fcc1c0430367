/**
 * One purchase from wish to end. Pure.
 *
 * The wish is kept (in sessionStorage, by get-coins.js) from before it is sent until it is answered. An
 * answer can be lost while the purchase was made; the same wish sent again under the same key is
 * answered with the same purchase, and nothing is bought twice.
 */

/** @typedef {{key: string, order: {bundle: string} | {coins: number}}} Wish */

const sameOrder = (a, b) => a.bundle === b.bundle && a.coins === b.coins;

/** The wish for this order: the kept one when it is for the same, else a new one. @returns {Wish} */
export function wishFor(kept, order, newKey) {
  return kept && sameOrder(kept.order, order) ? kept : { key: newKey(), order };
}

/** Reads what was kept; anything that is no wish counts as none. @returns {Wish|null} */
export function readWish(text) {
  try {
    const wish = JSON.parse(text);
    return typeof wish?.key === 'string' && wish.order ? wish : null;
  } catch {
    return null;
  }
}

/**
 * The exact amount that someone typed.
 * @returns {{coins: number} | {problem: string}}
 */
export function exactAmount(text, shop, written) {
  const [low, high] = [shop.minimum_coins, shop.maximum_coins];
  const amount = /^\d{1,9}$/.test(text.trim()) ? Number(text) : NaN;
  if (amount >= low && amount <= high) return { coins: amount };
  return { problem: `Write a whole number from ${written(low)} to ${written(high)}.` };
}

/** Where to pay, if it is an address that a page may open. */
export function checkoutAddress(url, base) {
  try {
    const address = new URL(url, base);
    return ['https:', 'http:'].includes(address.protocol) ? address.href : null;
  } catch {
    return null;
  }
}

/** How a purchase ended, or null while it waits. `what`: "500 coins for $5.00". */
export function endWords(status, what) {
  switch (status) {
    case 'pending': return null;
    case 'paid': return `Paid: ${what}. Thank you.`;
    case 'failed': return `The payment for ${what} did not go through. No coins were bought.`;
    default: return `The purchase of ${what} is ${status.replaceAll('_', ' ')}.`;
  }
}
