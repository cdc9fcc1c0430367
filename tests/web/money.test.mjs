import assert from 'node:assert/strict';
import { test } from 'node:test';
import { coinsAndPrice, pricesOf } from '../../web/static/money.js';

const shop = (more = {}) => ({ coin_price_micros: 10_000, currency: 'USD', minor_digits: 2, bundles: [], ...more });

test('coins are written with what they cost', () => {
  const prices = pricesOf(shop());
  assert.equal(prices.of(1), '$0.01');
  assert.equal(prices.of(123_456), '$1,234.56');
  assert.equal(coinsAndPrice(prices, 1), '1 coin ($0.01)');
  assert.equal(coinsAndPrice(prices, 300), '300 coins ($3.00)');
});

test('while no prices are known, coins stand alone', () => {
  for (const unknown of [pricesOf(null), pricesOf({})]) {
    assert.equal(coinsAndPrice(unknown, 300), '300 coins');
    assert.deepEqual([unknown.of(1), unknown.toBuy(1), unknown.written(1), unknown.each(1, 1)], ['', '', '', '']);
  }
});

test('a worth is exact, a price to pay is rounded up to the minor unit', () => {
  const prices = pricesOf(shop({ coin_price_micros: 12_345 }));
  assert.equal(prices.of(1), '$0.012345');
  assert.equal(prices.toBuy(1), '$0.02');
  assert.equal(prices.toBuy(100), '$1.24');
  assert.equal(prices.toBuy(1_000_000), '$12,345.00');
});

test('currencies have the digits that the server says', () => {
  const yen = pricesOf(shop({ coin_price_micros: 1_500_000, currency: 'JPY', minor_digits: 0 }));
  assert.deepEqual([yen.written(1500), yen.of(2), yen.toBuy(1)], ['¥1,500', '¥3', '¥2']);
  const dinar = pricesOf(shop({ currency: 'KWD', minor_digits: 3 }));
  assert.equal(dinar.written(1005).replace('\u00a0', ' '), 'KWD 1.005');
});

test('big amounts do not pass through a float', () => {
  assert.equal(pricesOf(shop()).written(900_719_925_474_099_1), '$90,071,992,547,409.91');
});

test('what one coin of a bundle costs is never said too low', () => {
  const prices = pricesOf(shop());
  assert.equal(prices.each(100, 100), '$0.01');
  assert.equal(prices.each(499, 550), '$0.0091');
  assert.equal(prices.each(1, 3), '$0.0034');
});

test('a currency that nobody knows is written by its code', () => {
  assert.equal(pricesOf(shop({ currency: 'coins?' })).written(999), 'coins? 9.99');
});

test('what is owed has its sign', () => {
  assert.equal(pricesOf(shop()).written(-5), '-$0.05');
});
