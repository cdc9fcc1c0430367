import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BACKOFF_BASE_MS, BACKOFF_CAP_MS, closeSentence, comesBack, reconnectMs } from '../../web/static/backoff.js';

const ALMOST_ONE = 1 - 2 ** -53;

test('the first wait is anywhere from nothing to the base', () => {
  assert.equal(reconnectMs(0, 0), 0);
  assert.equal(reconnectMs(0, ALMOST_ONE), BACKOFF_BASE_MS - 1);
});

test('each try doubles the ceiling until the cap, and stays there for ever', () => {
  for (let attempt = 0; attempt < 2_000; attempt++) {
    const ceiling = reconnectMs(attempt, ALMOST_ONE) + 1;
    assert.equal(ceiling, Math.min(BACKOFF_CAP_MS, BACKOFF_BASE_MS * 2 ** attempt));
  }
});

test('the wait is never shorter than the server asked for, and spread on top of it', () => {
  assert.equal(reconnectMs(0, 0, 5_000), 5_000);
  assert.equal(reconnectMs(2, 0.5, 5_000), 5_000 + BACKOFF_BASE_MS * 2);
});

test('4500–4999 do not come back; abnormal and 4000–4499 do', () => {
  for (const code of [1000, 1001, 1005, 1006, 1011, 1012, 4000, 4003, 4499]) assert.ok(comesBack(code), code);
  for (const code of [4500, 4501, 4502, 4505, 4999]) assert.ok(!comesBack(code), code);
});

test('every close code has a sentence', () => {
  for (const code of [1006, 4000, 4123, 4501, 4777]) assert.match(closeSentence(code), /\.$/);
});
