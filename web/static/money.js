/**
 * What coins cost in real money, as `GET /v1/bundles` says, and how that is written. Pure. Amounts stay
 * whole numbers until they are text: a price that went through a float could be wrong in its last digit.
 */

import { coins } from './show/words.js';

/** `coin_price_micros` counts in millionths of the currency's unit: six digits after the point. */
const MICRO_DIGITS = 6;

/**
 * @typedef {object} Prices  all write nothing ('') while prices are not known
 * @property {(amount: number) => string} of  what so many coins are worth, exactly: "$0.30"
 * @property {(amount: number) => string} toBuy  what so many cost to buy, in whole minor units
 * @property {(minor: number, currency?: string) => string} written  an amount of the minor unit
 * @property {(minor: number, amount: number, currency?: string) => string} each  what one coin costs when
 *   so many cost `minor`, to a hundredth of the minor unit, rounded up
 */

/** @param {object|null} shop `GET /v1/bundles` @returns {Prices} */
export function pricesOf(shop) {
  if (!shop?.coin_price_micros) return { of: () => '', toBuy: () => '', written: () => '', each: () => '' };
  const { coin_price_micros: micros, currency, minor_digits: digits = 2 } = shop;
  return {
    of: (amount) => money(BigInt(amount) * BigInt(micros), MICRO_DIGITS, currency, digits),
    toBuy: (amount) => money(minorOf(amount, micros, digits), digits, currency, digits),
    written: (minor, of = currency) => money(BigInt(minor), digits, of, digits),
    each: (minor, amount, of = currency) => money(upTo(BigInt(minor) * 100n, BigInt(amount)), digits + 2, of, digits),
  };
}

/** Part of a minor unit cannot be paid, so it counts as a whole one. */
function minorOf(amount, micros, digits) {
  return upTo(BigInt(amount) * BigInt(micros), 10n ** BigInt(MICRO_DIGITS - digits));
}

/** Divided, and rounded up: a price is never said to be lower than it is. */
function upTo(amount, by) {
  return (amount + by - 1n) / by;
}

/** "300 coins ($3.00)", or without the price while it is not known. */
export function coinsAndPrice(prices, amount) {
  const price = prices.of(amount);
  return price ? `${coins(amount)} (${price})` : coins(amount);
}

function money(amount, places, currency, digits) {
  const text = decimal(amount, places);
  try {
    return new Intl.NumberFormat('en', { style: 'currency', currency, minimumFractionDigits: digits,
      maximumFractionDigits: Math.max(digits, MICRO_DIGITS) }).format(text);
  } catch {
    return `${currency} ${text}`; // not a code that Intl takes for a currency
  }
}

function decimal(amount, places) {
  const figures = String(amount < 0n ? -amount : amount).padStart(places + 1, '0');
  const sign = amount < 0n ? '-' : '';
  if (places === 0) return sign + figures;
  return `${sign}${figures.slice(0, -places)}.${figures.slice(-places)}`;
}
