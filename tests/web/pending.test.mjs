import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as gifts from '../../web/static/pending.js';

const message = (key, room = 'r') => ({ type: 'gift', key, room, gift: 'spark' });
const everywhere = () => true;
const states = (pending) => [...pending.values()].map((w) => w.state);

test('gifts go out once, in the order they were given, and only into joined rooms', () => {
  const kept = ['a', 'b', 'c'].reduce((p, key) => gifts.keep(p, message(key, key === 'b' ? 'other' : 'r')), new Map());
  const [sent, out] = gifts.takeDue(kept, 0, (room) => room === 'r');
  assert.deepEqual(out.map((m) => m.key), ['a', 'c']);
  assert.deepEqual(gifts.takeDue(sent, 0, (room) => room === 'r')[1], []);
});

test('a broken line makes what was on it go out again, unchanged', () => {
  const [sent, [first]] = gifts.takeDue(gifts.keep(new Map(), message('a')), 0, everywhere);
  const [, [again]] = gifts.takeDue(gifts.lineBroke(sent), 0, everywhere);
  assert.equal(again, first);
});

test('a held gift waits as long as the server says, then goes out with the same key', () => {
  const [sent] = gifts.takeDue(gifts.keep(new Map(), message('a')), 0, everywhere);
  const held = gifts.hold(sent, 'a', { retry_after_ms: 400 }, 1_000, 0);
  assert.equal(gifts.nextRetryMs(held, everywhere), 1_400);
  assert.deepEqual(gifts.takeDue(held, 1_399, everywhere)[1], []);
  assert.equal(gifts.takeDue(held, 1_400, everywhere)[1][0].key, 'a');
});

test('a held gift whose room is not joined keeps no timer ringing', () => {
  const held = gifts.hold(gifts.keep(new Map(), message('a')), 'a', { retry_after_ms: 400 }, 0, 0);
  assert.equal(gifts.nextRetryMs(held, () => false), null);
});

test('retry_after_ms is also read from details, and has a default', () => {
  const kept = gifts.keep(new Map(), message('a'));
  assert.equal(gifts.nextRetryMs(gifts.hold(kept, 'a', { details: { retry_after_ms: 70 } }, 0, 0), everywhere), 70);
  assert.equal(gifts.nextRetryMs(gifts.hold(kept, 'a', {}, 0, 0), everywhere), gifts.RETRY_DEFAULT_MS);
});

test('a held gift stays held over a broken line', () => {
  const held = gifts.hold(gifts.keep(new Map(), message('a')), 'a', { retry_after_ms: 400 }, 0, 0);
  assert.deepEqual(states(gifts.lineBroke(held)), ['held']);
});

test('stranded is what is not on the line and has no room; whether it was ever sent is remembered', () => {
  const kept = ['a', 'b', 'c'].reduce((p, key) => gifts.keep(p, message(key, key)), new Map());
  const [sent] = gifts.takeDue(kept, 0, (room) => room !== 'c');
  const [onTheLine, now] = gifts.takeStranded(sent, () => false);
  assert.deepEqual([[...onTheLine.keys()], now.map((w) => [w.message.key, w.wasSent])], [['a', 'b'], [['c', false]]]);
  const [rest, later] = gifts.takeStranded(gifts.lineBroke(onTheLine), (room) => room === 'b');
  assert.deepEqual([[...rest.keys()], later.map((w) => [w.message.key, w.wasSent])], [['b'], [['a', true]]]);
});

test('a settled gift is forgotten', () => {
  assert.equal(gifts.settle(gifts.keep(new Map(), message('a')), 'a').size, 0);
});

test('a UUIDv7 has its version, its variant and its time', () => {
  const id = gifts.uuidv7(0x0123456789ab, new Uint8Array(10).fill(0xff));
  assert.equal(id, '01234567-89ab-7fff-bfff-ffffffffffff');
});

test('later keys sort after earlier ones', () => {
  const random = crypto.getRandomValues(new Uint8Array(10));
  assert.ok(gifts.uuidv7(1_700_000_000_000, random) < gifts.uuidv7(1_700_000_000_001, new Uint8Array(10)));
});
