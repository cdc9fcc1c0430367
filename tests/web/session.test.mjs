import assert from 'node:assert/strict';
import { test } from 'node:test';
import { newSession, step } from '../../web/static/session.js';
import { accepted, frame, gift, joined, welcome } from './messages.mjs';

/** Feeds inputs one by one; keeps the session and what the last input led to. */
class Line {
  session = newSession();
  effects = [];
  now_ms = 0;
  do(input) {
    [this.session, this.effects] = step(this.session, { now_ms: this.now_ms, random: 0.5, ...input });
    return this;
  }
  say(message) { return this.do({ type: 'message', message }); }
  give(key) { return this.do({ type: 'gift', message: { type: 'gift', key, room: 'r', gift: 'spark' } }); }
  ring(name) { return this.do({ type: 'timer', name, room: 'r' }); }
  at(now_ms) { this.now_ms = now_ms; return this; }
  get sent() { return this.effects.filter((e) => e.do === 'send').map((e) => e.message); }
  emitted(name) { return this.effects.filter((e) => e.do === 'emit' && e.name === name).map((e) => e.detail); }
  timer(name) { return this.effects.find((e) => e.do === 'timer' && e.name === name)?.in_ms; }
  get answers() { return this.effects.filter((e) => e.do === 'answer'); }
}

const opened = () => new Line().do({ type: 'start' }).do({ type: 'join', room: 'r' }).do({ type: 'opened' }).say(welcome());
const live = (seq = 10, total = 100) => {
  const line = opened();
  return line.say(joined(seq, total, { id: line.sent[0].id }));
};
const broken = (line, code = 1006) => line.do({ type: 'closed', code, reason: '' });
const back = (line) => broken(line).ring('reconnect').do({ type: 'opened' }).say(welcome());

test('hello comes first, join after welcome, without resume the first time', () => {
  const line = new Line().do({ type: 'start' }).do({ type: 'join', room: 'r' });
  assert.deepEqual(line.sent, []);
  assert.deepEqual(line.do({ type: 'opened' }).effects, [{ do: 'hello' }]);
  assert.deepEqual(line.say(welcome()).sent, [{ type: 'join', room: 'r', id: 'join-1' }]);
});

test('after a reconnect it resumes from the last entry it has', () => {
  const line = live().say(frame(11, 100, [gift(11, 5)]));
  assert.deepEqual(back(line).sent[0].resume, { epoch: 'e1', seq: 11 });
});

test('a recovered log goes on where it was; the first frame after it must fit', () => {
  const line = back(live());
  line.say(joined(12, 109, { id: line.sent[0].id, recovered: true }));
  assert.equal(line.emitted('joined')[0].recovered, true);
  line.say(frame(11, 100, [gift(11, 4), gift(12, 5)]));
  assert.deepEqual(line.emitted('gift').map((e) => e.seq), [11, 12]);
  assert.equal(line.emitted('verified')[0].totalCoins, 109);
});

test('a log that was not recovered starts anew, and the count of verified entries goes on', () => {
  const line = back(live().say(frame(11, 100, [gift(11, 5)])));
  line.say(joined(700, 9_000, { id: line.sent[0].id, epoch: 'e2' }));
  const { log } = line.session.rooms.get('r');
  assert.deepEqual(log, { epoch: 'e2', seq: 700, totalCoins: 9_000, verified: 1 });
});

test('the same frame twice is shown once', () => {
  const line = live().say(frame(11, 100, [gift(11, 5)]));
  assert.equal(line.emitted('gift').length, 1);
  assert.deepEqual(line.say(frame(11, 100, [gift(11, 5)])).effects, []);
});

test('a gap shows nothing and asks once from the last entry, dropping frames until the answer', () => {
  const line = live().say(frame(13, 110, [gift(13, 5)]));
  assert.deepEqual(line.emitted('gap'), [{ room: 'r', expected: 11, first: 13 }]);
  const [question] = line.sent;
  assert.deepEqual(question.resume, { epoch: 'e1', seq: 10 });
  assert.deepEqual(line.emitted('gift'), []);
  assert.deepEqual(line.say(frame(11, 100, [gift(11, 5)])).effects, []);
  line.say(joined(13, 115, { id: question.id, recovered: true }));
  line.say(frame(11, 100, [gift(11, 5), gift(12, 5), gift(13, 5)]));
  assert.equal(line.emitted('gift').length, 3);
});

test('sums that do not add up are told, and a snapshot is asked for', () => {
  const line = live().say(frame(11, 100, [gift(11, 5)], { total_coins: 999 }));
  const [wrong] = line.emitted('mismatch');
  assert.deepEqual([wrong.what, wrong.expected, wrong.got, wrong.mismatches], ['total_coins', 105, 999, 1]);
  assert.equal(line.sent[0].type, 'join');
  assert.equal(line.sent[0].resume, undefined);
  assert.deepEqual(line.emitted('gift'), []);
});

test('a server that is wrong every time is asked ever less often', () => {
  const line = live();
  const waits = [];
  for (let round = 0; round < 8; round++) {
    line.say(frame(11, 100, [gift(11, 5)], { total_coins: 999 }));
    waits.push(line.timer('ask') ?? 0);
    if (line.timer('ask')) line.ring('ask');
    line.say(joined(10, 100, { id: line.sent[0].id }));
  }
  assert.equal(waits[0], 0);
  for (let round = 2; round < 8; round++) assert.ok(waits[round] >= waits[round - 1] && waits[round] > 0);
});

test('resumes that lead nowhere end in a snapshot', () => {
  const line = live();
  for (let round = 0; round < 4; round++) {
    line.say(frame(13, 110, [gift(13, 5)]));
    if (line.timer('ask')) line.ring('ask');
    line.say(joined(13, 110, { id: line.sent[0].id, recovered: line.sent[0].resume !== undefined }));
  }
  assert.equal(line.session.rooms.get('r').log.seq, 13);
});

test('a recovered log that is shorter than ours is a mismatch', () => {
  const line = back(live());
  line.say(joined(7, 50, { id: line.sent[0].id, recovered: true }));
  assert.equal(line.emitted('mismatch')[0].what, 'log_shrank');
});

test('a heartbeat ahead of us is believed to be early for 2 s, then we resume', () => {
  const line = live().say({ type: 'heartbeat', now_ms: 0, rooms: { r: 12 } });
  assert.equal(line.timer('behind'), 2_000);
  assert.deepEqual(line.sent, []);
  assert.deepEqual(line.ring('behind').sent[0].resume, { epoch: 'e1', seq: 10 });
});

test('a frame that catches up with the heartbeat in time changes nothing', () => {
  const line = live().say({ type: 'heartbeat', now_ms: 0, rooms: { r: 11 } });
  line.say(frame(11, 100, [gift(11, 5)]));
  assert.deepEqual(line.ring('behind').effects, []);
});

test('a long catch-up is not disturbed while it moves, and asked for again when it stops', () => {
  const line = live().say({ type: 'heartbeat', now_ms: 0, rooms: { r: 99 } });
  line.say(frame(11, 100, [gift(11, 5)]));
  assert.equal(line.ring('behind').timer('behind'), 2_000);
  assert.deepEqual(line.sent, []);
  assert.deepEqual(line.ring('behind').sent[0].resume, { epoch: 'e1', seq: 11 });
});

test('a recovered join whose frames never come is asked again', () => {
  const line = back(live());
  line.say(joined(12, 109, { id: line.sent[0].id, recovered: true }));
  assert.equal(line.timer('behind'), 2_000);
  assert.deepEqual(line.ring('behind').sent[0].resume, { epoch: 'e1', seq: 10 });
});

test('silence for 2.5 heartbeats drops the line; any frame is a sign of life', () => {
  const line = live().at(20_000).say({ type: 'pong' });
  assert.equal(line.at(25_000).ring('watchdog').timer('watchdog'), 20_000);
  assert.deepEqual(line.at(45_000).ring('watchdog').effects, [{ do: 'drop', code: 4002, reason: '' }]);
});

test('a gift that was not answered goes out again after a reconnect, with the same key', () => {
  const line = live().give('k1');
  const [first] = line.sent;
  back(line);
  assert.equal(line.sent.some((m) => m.type === 'gift'), false, 'not before the room is joined');
  line.say(joined(10, 100, { id: line.sent[0].id, recovered: true }));
  assert.deepEqual(line.sent, [first]);
  line.say(accepted('k1', 11, 1, { replayed: true }));
  assert.equal(line.answers[0].message.replayed, true);
  assert.equal(line.session.pending.size, 0);
});

test('an answered gift never goes out again', () => {
  const line = live().give('k1').say(accepted('k1', 11, 1));
  back(line);
  assert.deepEqual(line.say(joined(11, 101, { id: line.sent[0].id, recovered: true })).sent, []);
});

test('`retry: same` sends the same key again after retry_after_ms and answers nothing yet', () => {
  const line = live().give('k1');
  const [first] = line.sent;
  line.say({ type: 'refused', key: 'k1', code: 'busy', message: 'Busy.', retry: 'same', retry_after_ms: 300 });
  assert.deepEqual(line.answers, []);
  assert.equal(line.emitted('delayed').length, 1);
  const wait = line.timer('resend');
  assert.ok(wait >= 300 && wait < 400);
  assert.deepEqual(line.at(wait).ring('resend').sent, [first]);
});

test('other refusals are final', () => {
  for (const retry of ['fix', 'new']) {
    const line = live().give('k1').say({ type: 'refused', key: 'k1', code: 'x', message: 'No.', retry });
    assert.equal(line.answers[0].message.message, 'No.');
    assert.equal(line.session.pending.size, 0);
  }
});

test('gifts given while the line is down wait for the join', () => {
  const line = broken(live()).give('k1');
  assert.deepEqual(line.sent, []);
  line.ring('reconnect').do({ type: 'opened' }).say(welcome());
  line.say(joined(10, 100, { id: line.sent[0].id, recovered: true }));
  assert.equal(line.sent[0].key, 'k1');
});

test('too many waiting gifts are refused here, under their own key', () => {
  const line = broken(live());
  for (let i = 0; i < 100; i++) line.give(`k${i}`);
  assert.deepEqual(line.answers, []);
  assert.equal(line.give('one-more').answers[0].message.local, true);
});

test('a close below 4500 comes back after jitter; the notice is honoured once', () => {
  const line = live().say({ type: 'notice', code: 'draining', message: 'Restart.', reconnect_after_ms: 7_000 });
  assert.equal(broken(line, 4000).timer('reconnect'), 7_000 + 250);
  assert.equal(line.emitted('state')[0].phase, 'reconnecting');
  line.ring('reconnect');
  assert.equal(broken(line).timer('reconnect'), 500);
});

test('back-off grows while connections do not last, and starts over after one that did', () => {
  const line = live();
  const waits = [0, 1, 2].map(() => { const wait = broken(line).timer('reconnect'); line.ring('reconnect'); return wait; });
  assert.deepEqual(waits, [250, 500, 1_000]);
  line.do({ type: 'opened' }).say(welcome()).at(60_000);
  assert.equal(broken(line).timer('reconnect'), 250);
});

test('a close from 4500 on does not come back, and says why', () => {
  const line = broken(live(), 4502);
  assert.equal(line.timer('reconnect'), undefined);
  const [state] = line.emitted('state');
  assert.equal(state.phase, 'refused');
  assert.match(state.message, /expired/);
  assert.equal(line.give('k').answers[0].message.code, 'not_connected');
});

test('stop answers what is open as unknown, and stays stopped', () => {
  const line = live().give('k1').do({ type: 'stop' });
  assert.equal(line.answers[0].message.type, 'unknown');
  assert.deepEqual(broken(line).effects, []);
});

test('a refused join is told with its room; a busy one is asked again', () => {
  const line = opened();
  const refusal = { type: 'refused', id: line.sent[0].id, code: 'busy', message: 'Busy.', retry: 'same' };
  assert.equal(line.say(refusal).timer('ask'), 1_000);
  line.ring('ask').say({ ...refusal, id: line.sent[0].id, code: 'unknown_room', retry: 'fix' });
  assert.equal(line.emitted('refused')[0].room, 'r');
  assert.equal(line.session.rooms.size, 0);
});

test('unknown messages and messages for rooms that were left do nothing', () => {
  const line = live();
  assert.deepEqual(line.say({ type: 'fireworks' }).effects, []);
  line.do({ type: 'leave', room: 'r' });
  assert.deepEqual(line.say(frame(11, 100, [gift(11, 1)])).effects, []);
});
