import assert from 'node:assert/strict';
import { test } from 'node:test';
import { aboutSpending, changesIn, moment, ownLimits, pauseWords, savedWords, waitingRaises, windowWords }
  from '../../web/static/safety/limits.js';

const AT = Date.UTC(2026, 5, 3, 14, 5);
const written = (amount) => `${amount} coins`;
const window = (more = {}) => ({ limit_coins: 500, source: 'own', spent_coins: 120, left_coins: 380, frees_ms: AT, ...more });
const limits = (more = {}) => ({ daily: window(), weekly: window({ limit_coins: 15_000, source: 'default' }),
  monthly: window({ limit_coins: null }), per_gift_coins: 99, raises: [], paused_until_ms: null, ...more });
const texts = (more = {}) => ({ daily_coins: '500', weekly_coins: '', monthly_coins: '', per_gift_coins: '99', ...more });

test('a window says what was spent, what is left and when more frees', () => {
  assert.deepEqual(windowWords(window(), written, 'UTC'), { spent: '120 coins spent',
    left: '380 coins left of 500 coins: your own limit.', frees: 'More is free again from Wed, Jun 3, 2:05 PM.' });
});

test('a window that is used up says until when', () => {
  const { left, frees } = windowWords(window({ left_coins: 0 }), written, 'UTC');
  assert.match(left, /^0 coins left/);
  assert.equal(frees, 'Nothing more until Wed, Jun 3, 2:05 PM.');
});

test('limits of the operator say that granted coins do not count', () => {
  for (const source of ['default', 'first_day']) {
    assert.match(windowWords(window({ source }), written, 'UTC').spent, /not counting coins you were given/);
  }
});

test('without a limit there is nothing left to name', () => {
  const words = windowWords(window({ limit_coins: null, left_coins: null, frees_ms: null }), written, 'UTC');
  assert.deepEqual(words, { spent: '120 coins spent', left: 'No limit is set.', frees: '' });
});

test('only limits of one’s own stand in the form', () => {
  assert.deepEqual(ownLimits(limits()), { daily_coins: 500, weekly_coins: null, monthly_coins: null, per_gift_coins: 99 });
});

test('an own limit is known even where another one is tighter', () => {
  const tight = window({ source: 'first_day', limit_coins: 1_000, own_coins: 2_000 });
  assert.equal(ownLimits(limits({ daily: tight })).daily_coins, 2_000);
});

test('only what was changed is sent; an emptied field gives the own limit up', () => {
  assert.deepEqual(changesIn(texts(), limits()), { changes: {} });
  assert.deepEqual(changesIn(texts({ daily_coins: '', weekly_coins: ' 1000 ' }), limits()),
    { changes: { daily_coins: null, weekly_coins: 1000 } });
  assert.deepEqual(changesIn(texts({ monthly_coins: '0' }), limits()), { changes: { monthly_coins: 0 } });
});

test('what is no whole number of coins is not sent', () => {
  for (const wrong of ['5x', '-1', '1.5', '1,000', '9999999999']) {
    assert.equal(changesIn(texts({ weekly_coins: wrong }), limits()).field, 'weekly_coins', wrong);
  }
});

test('raises that wait are told with their day', () => {
  const raises = [{ limit: 'daily', coins: 900, at_ms: AT }, { limit: 'per_gift_coins', coins: null, at_ms: AT }];
  assert.deepEqual(waitingRaises(limits({ raises }), written, 'UTC'), [
    { key: 'daily_coins', text: 'Your limit for 24 hours rises to 900 coins on Wed, Jun 3, 2:05 PM.' },
    { key: 'per_gift_coins', text: 'Your limit for one gift ends on Wed, Jun 3, 2:05 PM.' }]);
});

test('what was saved says what counts now and what waits', () => {
  const raises = [{ limit: 'daily', coins: 900, at_ms: AT }];
  const said = savedWords({ daily_coins: 900, per_gift_coins: 10, weekly_coins: null }, limits({ raises }), written, 'UTC');
  assert.equal(said, 'Saved. You have no limit for 7 days of your own. Your limit for one gift is now 10 coins. '
    + 'Your limit for 24 hours rises to 900 coins on Wed, Jun 3, 2:05 PM.');
});

test('a pause says until when, and that there is no way back', () => {
  const words = pauseWords(7, AT, 'UTC');
  assert.equal(words.question, 'Pause gifting for 7 days?');
  assert.match(words.note, /^Until Wed, Jun 10, 2:05 PM .* cannot be undone early/);
  assert.match(pauseWords(1, AT, 'UTC').question, /24 hours/);
});

test('refusals about spending are known', () => {
  const codes = ['limit_daily', 'limit_per_gift', 'gifting_paused', 'account_frozen', 'insufficient_coins', 'room_closed'];
  assert.deepEqual(codes.map(aboutSpending), [true, true, true, true, false, false]);
});

test('a moment is of the reader’s time zone', () => {
  assert.equal(moment(AT, 'Asia/Tokyo'), 'Wed, Jun 3, 11:05 PM');
});
