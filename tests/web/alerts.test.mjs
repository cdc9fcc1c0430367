import assert from 'node:assert/strict';
import { test } from 'node:test';
import { advance, cancel, newAlerts, nextChangeMs, offer, passed, PAUSE_MS, shownSeq } from '../../web/static/overlay/alerts.js';
import { gift } from './messages.mjs';

const from = (id) => ({ from: { id, name: id } });
const tap = (seq, count, coins) => gift(seq, 1, { combo: { id: 'c', count, coins, ends_ms: 0 } });
const given = (events, options) => events.reduce((alerts, event) => offer(alerts, event, 0), newAlerts(options));

test('one alert at a time, in order, with a pause between', () => {
  let alerts = advance(given([gift(1, 5, from('a')), gift(2, 5, from('b'))]), 0);
  assert.equal(alerts.current.event.seq, 1);
  const overMs = nextChangeMs(alerts);
  alerts = advance(alerts, overMs);
  assert.equal(alerts.current, null);
  assert.equal(nextChangeMs(alerts), overMs + PAUSE_MS);
  assert.equal(advance(alerts, overMs + PAUSE_MS).current.event.seq, 2);
});

test('an idle overlay has nothing to come back for', () => {
  assert.equal(nextChangeMs(newAlerts()), null);
});

test('a combo is one alert with its own count; the same gift without combo is added up', () => {
  assert.deepEqual(given([tap(1, 1, 1), tap(2, 2, 2)]).queue.map((a) => [a.count, a.coins]), [[2, 2]]);
  assert.deepEqual(given([gift(1, 5), gift(2, 5, { quantity: 3, coins: 15 })]).queue.map((a) => [a.count, a.coins]), [[4, 20]]);
});

test('anonymous gifts are not taken for one person’s', () => {
  const anonymous = { from: { anonymous: true } };
  assert.equal(given([gift(1, 5, anonymous), gift(2, 5, anonymous)]).queue.length, 2);
});

test('a combo grows in the alert that is on', () => {
  const alerts = offer(advance(given([tap(1, 1, 1)]), 0), tap(2, 2, 2), 3_000);
  assert.deepEqual([alerts.current.count, alerts.current.untilMs, alerts.queue.length], [2, 6_500, 0]);
});

test('below `min` there is no alert, until the combo has grown over it', () => {
  const few = given([tap(1, 1, 1), tap(2, 2, 2)], { minCoins: 3 });
  assert.equal(few.queue.length, 0);
  assert.equal(offer(few, tap(3, 3, 3), 0).queue[0].count, 3);
});

test('a full queue loses the cheapest', () => {
  const events = [30, 10, 20].map((coins, i) => gift(i + 1, coins, from(`u${i}`)));
  assert.deepEqual(given(events, { queueMax: 2 }).queue.map((a) => a.coins), [30, 20]);
});

test('after a sleep, old alerts are not news any more', () => {
  const alerts = advance(given([gift(1, 5)]), 31_000);
  assert.deepEqual([alerts.current, alerts.queue], [null, []]);
});

test('a hidden gift ends its alert at once', () => {
  assert.equal(cancel(advance(given([gift(1, 5)]), 0), 1).current, null);
});

test('shown goes up to what is not waiting', () => {
  let alerts = passed(given([gift(1, 5, from('a')), gift(2, 5, from('b'))]), 4);
  assert.equal(shownSeq(alerts), 0);
  alerts = advance(alerts, 0);
  assert.equal(shownSeq(alerts), 0, 'on, but not over');
  alerts = advance(alerts, nextChangeMs(alerts));
  assert.equal(shownSeq(alerts), 1);
  alerts = advance(alerts, nextChangeMs(alerts));
  assert.equal(shownSeq(advance(alerts, nextChangeMs(alerts))), 4);
});
