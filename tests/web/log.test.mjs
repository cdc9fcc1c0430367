import assert from 'node:assert/strict';
import { test } from 'node:test';
import { frameCoins, readFrame, startLog } from '../../web/static/log.js';
import { frame, gift, joined, retraction } from './messages.mjs';

const log = startLog(joined(10, 100));

test('a frame that follows and adds up moves the log', () => {
  const { verdict, log: next } = readFrame(log, frame(11, 100, [gift(11, 5), gift(12, 7)]));
  assert.equal(verdict, 'next');
  assert.deepEqual(next, { epoch: 'e1', seq: 12, totalCoins: 112, verified: 2 });
});

test('a frame that we have had is a repeat and changes nothing', () => {
  const once = frame(11, 100, [gift(11, 5)]);
  const { log: next } = readFrame(log, once);
  assert.deepEqual(readFrame(next, once), { verdict: 'repeat', log: next });
});

test('a frame that does not follow is a gap, on either side', () => {
  assert.equal(readFrame(log, frame(12, 105, [gift(12, 1)])).verdict, 'gap');
  const overlapping = frame(10, 99, [gift(10, 1), gift(11, 1)]);
  assert.equal(readFrame(log, overlapping).verdict, 'gap');
});

test('a frame of another epoch is a gap, even with a fitting seq', () => {
  assert.equal(readFrame(log, frame(11, 100, [gift(11, 5)], { epoch: 'e2' })).verdict, 'gap');
});

test('a total that does not follow from the gifts is a mismatch', () => {
  const { verdict, log: same, problem } = readFrame(log, frame(11, 100, [gift(11, 5)], { total_coins: 106 }));
  assert.equal(verdict, 'mismatch');
  assert.equal(same, log);
  assert.deepEqual(problem, { what: 'total_coins', expected: 105, got: 106, first: 11, last: 11 });
});

test('a total_before that is not our total is a mismatch, even when the frame itself adds up', () => {
  const { verdict, problem } = readFrame(log, frame(11, 101, [gift(11, 5)]));
  assert.equal(verdict, 'mismatch');
  assert.deepEqual(problem, { what: 'total_before', expected: 100, got: 101, first: 11, last: 11 });
});

test('numbers that are no integers are a mismatch and not silently equal', () => {
  for (const wrong of [{ total_coins: undefined }, { total_coins: '105' }, { total_before: NaN }]) {
    const { problem } = readFrame(log, frame(11, 100, [gift(11, 5)], wrong));
    assert.equal(problem?.what, 'not_a_number', JSON.stringify(wrong));
  }
  const fractions = frame(11, 100, [gift(11, 0.5)], { total_coins: 100.5 });
  assert.equal(readFrame(log, fractions).problem.what, 'not_a_number');
});

test('merged gifts and omitted coins count in the sums, and all their seqs as verified', () => {
  const merged = gift(19, 90, { merged: 9, quantity: 9 });
  const busy = frame(11, 100, [merged], { last: 22, omitted: { gifts: 3, coins: 4 } });
  const { verdict, log: next } = readFrame(log, busy);
  assert.equal(verdict, 'next');
  assert.deepEqual(next, { epoch: 'e1', seq: 22, totalCoins: 194, verified: 12 });
});

test('a frame may hold nothing but what was left out', () => {
  const all = frame(11, 100, [], { last: 15, omitted: { gifts: 5, coins: 5 } });
  assert.equal(readFrame(log, all).log.totalCoins, 105);
});

test('retractions take their coins out of the room', () => {
  const { log: next } = readFrame(log, frame(11, 100, [gift(11, 5), retraction(12, 30)]));
  assert.equal(next.totalCoins, 75);
});

test('unknown kinds count as entries and move no coins', () => {
  const odd = { kind: 'fireworks', seq: 11, coins: 1_000 };
  const { verdict, log: next } = readFrame(log, frame(11, 100, [odd, { kind: 'room_closed', seq: 12 }]));
  assert.equal(verdict, 'next');
  assert.deepEqual([next.seq, next.totalCoins, next.verified], [12, 100, 2]);
});

test('a frame without `omitted` has left nothing out', () => {
  assert.equal(frameCoins({ events: [gift(1, 3)] }), 3);
});

test('however a stretch of gifts is cut into frames, the log ends in the same place', () => {
  const gifts = Array.from({ length: 40 }, (_, i) => gift(11 + i, (i * 7) % 13 + 1));
  for (let size = 1; size <= 40; size++) {
    let now = log;
    for (let from = 0; from < gifts.length; from += size) {
      const read = readFrame(now, frame(11 + from, now.totalCoins, gifts.slice(from, from + size)));
      assert.equal(read.verdict, 'next');
      now = read.log;
    }
    assert.deepEqual(now, { epoch: 'e1', seq: 50, totalCoins: 100 + frameCoins({ events: gifts }), verified: 40 });
  }
});
