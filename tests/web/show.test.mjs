import assert from 'node:assert/strict';
import { test } from 'node:test';
import { addGift, addLevel, addOmitted, addRetraction, hideGift, LINES_MAX } from '../../web/static/show/lines.js';
import { advance, cancelGift, emptyProgram, nextChangeMs, offer, WAITING_MAX } from '../../web/static/show/program.js';
import { gift, retraction } from './messages.mjs';

const combo = (seq, count, coins) => gift(seq, 1, { combo: { id: 'c1', count, coins, ends_ms: 9_000 } });
const big = (seq, animation, coins = 500) => gift(seq, coins, { animation, gift: animation });
const classes = (acts) => acts.map((act) => act.animation);

// ---- the tray

test('a combo is one line that grows', () => {
  const lines = [combo(1, 1, 1), gift(2, 5), combo(3, 2, 2)].reduce(addGift, []);
  assert.deepEqual(lines.map((l) => [l.count, l.coins]), [[2, 2], [1, 5]]);
});

test('a combo never shrinks, whatever order its entries are told in', () => {
  const lines = [combo(3, 7, 70), combo(2, 5, 50)].reduce(addGift, []);
  assert.deepEqual([lines[0].count, lines[0].coins], [7, 70]);
});

test('a merged entry shows all that it holds', () => {
  assert.equal(addGift([], gift(9, 40, { quantity: 8, merged: 8 }))[0].count, 8);
});

test('the tray does not grow without end', () => {
  const lines = Array.from({ length: 200 }, (_, i) => gift(i, 1)).reduce(addGift, []);
  assert.equal(lines.length, LINES_MAX);
  assert.equal(lines.at(-1).seqs[0], 199);
});

test('what was left out is said in one line until something else comes', () => {
  const twice = [{ gifts: 2, coins: 3 }, { gifts: 5, coins: 6 }].reduce((lines, o, i) => addOmitted(lines, o, i), []);
  assert.deepEqual(twice.map((l) => [l.gifts, l.coins]), [[7, 9]]);
  assert.equal(addOmitted(twice, { gifts: 0, coins: 0 }, 9), twice);
  assert.equal(addOmitted(addGift(twice, gift(20, 1)), { gifts: 1, coins: 1 }, 21).length, 3);
});

test('an anonymous gift has no name', () => {
  assert.equal(addGift([], gift(1, 1, { from: { anonymous: true } }))[0].giver, 'Someone');
});

test('a hidden gift disappears, a retracted one is struck out and told', () => {
  const lines = addGift(addGift([], gift(1, 5)), gift(2, 6));
  assert.deepEqual(hideGift(lines, 1).map((l) => l.seqs[0]), [2]);
  const after = addRetraction(lines, retraction(3, 5));
  assert.deepEqual(after.map((l) => [l.kind, l.retracted ?? false]), [['gift', true], ['gift', false], ['retracted', false]]);
});

test('a level is said once, however often it is told', () => {
  const ann = { id: 'ann', name: 'Ann' };
  const lines = addLevel(addGift(addLevel([], ann, 4), gift(1, 5)), ann, 4);
  assert.deepEqual(lines.map((l) => [l.kind, l.person, l.level]).filter(([kind]) => kind === 'level'), [['level', 'Ann', 4]]);
  assert.equal(addLevel(lines, ann, 5).length, 3);
  assert.equal(addLevel([], { id: 'bo', name: '' }, 1)[0].person, 'bo');
});

// ---- the stage

test('the smallest class has no act', () => {
  assert.deepEqual(offer(emptyProgram(), gift(1, 1), 0), emptyProgram());
  assert.deepEqual(offer(emptyProgram(), gift(1, 1, { animation: 'hologram' }), 0), emptyProgram());
});

test('big acts play one at a time, the biggest first; small lanes do not wait for them', () => {
  const offered = [big(1, 'centre', 199), big(2, 'full', 999), big(3, 'side', 99), big(4, 'particles', 10)]
    .reduce((program, event) => offer(program, event, 0), emptyProgram());
  const now = advance(offered, 0);
  assert.deepEqual(classes(now.playing).sort(), ['full', 'particles', 'side']);
  assert.deepEqual(classes(now.waiting), ['centre']);
  assert.deepEqual(classes(advance(now, 8_000).playing), ['centre']);
});

test('acts of one lane play in different places, and a place that is free again is used', () => {
  const three = [1, 2, 3].reduce((program, seq) => offer(program, big(seq, 'particles', 20 - seq), 0), emptyProgram());
  assert.deepEqual(advance(three, 0).playing.map((act) => act.slot), [0, 1, 2]);
  const two = advance(offer(advance(offer(emptyProgram(), big(1, 'side'), 0), 0), big(2, 'side'), 1_000), 1_000);
  const later = advance(offer(two, big(3, 'side'), 4_100), 4_100);
  assert.deepEqual(later.playing.map((act) => [act.event.seq, act.slot]), [[2, 1], [3, 0]]);
});

test('while a takeover plays nothing else starts', () => {
  const taken = advance(offer(emptyProgram(), big(1, 'takeover', 9_999), 0), 0);
  const more = advance(offer(taken, big(2, 'side'), 100), 100);
  assert.deepEqual(classes(more.playing), ['takeover']);
  assert.equal(nextChangeMs(more), 8_101, 'the side act expires before the takeover ends');
});

test('an act that waited too long is left out', () => {
  const offered = offer(emptyProgram(), big(1, 'side'), 0);
  assert.deepEqual(advance(offered, 8_001), emptyProgram());
});

test('too many waiting acts lose the cheapest', () => {
  let program = emptyProgram();
  for (let seq = 1; seq <= WAITING_MAX + 1; seq++) program = offer(program, big(seq, 'centre', 100 + seq), 0);
  assert.equal(program.waiting.length, WAITING_MAX);
  assert.ok(program.waiting.every((act) => act.coins > 101));
});

test('a growing combo keeps its act up, but not for ever', () => {
  const tap = (seq, count) => gift(seq, 10, { animation: 'particles', combo: { id: 'c', count, coins: 10 * count, ends_ms: 0 } });
  let program = advance(offer(emptyProgram(), tap(1, 1), 0), 0);
  for (let second = 1; second <= 20; second++) program = offer(program, tap(1 + second, 1 + second), second * 1_000);
  assert.deepEqual([program.playing.length, program.playing[0].count, program.playing[0].untilMs], [1, 21, 9_000]);
});

test('a hidden gift leaves the stage', () => {
  const program = advance(offer(emptyProgram(), big(4, 'full'), 0), 0);
  assert.deepEqual(cancelGift(program, 4), emptyProgram());
});
