import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readAnswer, userOf } from '../../web/static/api.js';
import { checkoutAddress, endWords, exactAmount, readWish, wishFor } from '../../web/static/viewer/purchase.js';

const shop = { minimum_coins: 50, maximum_coins: 1_000 };
const written = (amount) => `${amount} coins`;
const never = () => { throw new Error('no new key was wanted'); };

// ---- a wish

test('the same order again goes under the same key', () => {
  const kept = { key: 'k1', order: { coins: 500 } };
  assert.equal(wishFor(kept, { coins: 500 }, never), kept);
});

test('another order is another wish', () => {
  const kept = { key: 'k1', order: { coins: 500 } };
  for (const order of [{ coins: 501 }, { bundle: 'coins-500' }]) {
    assert.deepEqual(wishFor(kept, order, () => 'k2'), { key: 'k2', order });
  }
  assert.equal(wishFor(null, { coins: 1 }, () => 'k3').key, 'k3');
});

test('what was kept is read back, and anything else is no wish', () => {
  const wish = { key: 'k1', order: { bundle: 's' } };
  assert.deepEqual(readWish(JSON.stringify(wish)), wish);
  for (const text of [null, '', '{', 'null', '{"key":1}', '{"key":"k"}']) assert.equal(readWish(text), null);
});

test('an exact amount is a whole number within the bounds', () => {
  assert.deepEqual(exactAmount(' 50 ', shop, written), { coins: 50 });
  assert.deepEqual(exactAmount('1000', shop, written), { coins: 1_000 });
  for (const text of ['', '49', '1001', '1.5', '1e2', 'many']) {
    assert.equal(exactAmount(text, shop, written).problem, 'Write a whole number from 50 coins to 1000 coins.');
  }
});

test('only addresses of the web are opened', () => {
  assert.equal(checkoutAddress('/checkout/sandbox/p1', 'https://here.test/'), 'https://here.test/checkout/sandbox/p1');
  assert.equal(checkoutAddress('https://pay.test/c', 'https://here.test/'), 'https://pay.test/c');
  for (const url of ['javascript:alert(1)', 'data:text/html,x', 'http://']) {
    assert.equal(checkoutAddress(url, 'https://here.test/'), null);
  }
});

test('a purchase that waits has not ended', () => {
  assert.equal(endWords('pending', '5 coins'), null);
  assert.match(endWords('paid', '5 coins'), /^Paid: 5 coins/);
  assert.match(endWords('failed', '5 coins'), /No coins were bought/);
  assert.match(endWords('charged_back', '5 coins'), /charged back/);
});

// ---- an answer

const refusal = (retry) => ({ error: { code: 'c', message: 'A sentence.', retry } });

test('a no is the server’s sentence', () => {
  const { ok, code, sentence } = readAnswer(422, refusal('fix'));
  assert.deepEqual([ok, code, sentence], [false, 'c', 'A sentence.']);
});

test('a wish stays open while nobody knows what became of it', () => {
  const open = (status, body) => readAnswer(status, body).open;
  assert.deepEqual([open(503, refusal('same')), open(500, null), open(429, null), open(201, null)], [true, true, true, true]);
  assert.deepEqual([open(422, refusal('new')), open(400, refusal('fix')), open(404, null)], [false, false, false]);
});

test('a yes is its body', () => {
  assert.deepEqual(readAnswer(201, { purchase: 'p' }), { ok: true, body: { purchase: 'p' } });
});

// ---- whose token

test('a token names its user; anything else names nobody', () => {
  const claims = Buffer.from(JSON.stringify({ sub: 'ann', name: 'Ännchen ✓?>' })).toString('base64url');
  assert.equal(userOf(`head.${claims}.sign`), 'ann');
  for (const text of ['', 'x', 'a.b.c', `a.${Buffer.from('{}').toString('base64url')}.c`]) assert.equal(userOf(text), null);
});
