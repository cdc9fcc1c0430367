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

// ---- gifts into rooms that we are not in ------------------------------------------------------

const leaving = (line) => line.do({ type: 'leave', room: 'r' });
const refuseJoin = (line, id, retry = 'fix') =>
  line.say({ type: 'refused', id, code: 'unknown_room', message: 'No such room.', retry });
const isNotJoined = (line, key) => {
  assert.equal(line.answers.length, 1);
  const [{ message: { message, ...rest } }] = line.answers;
  assert.deepEqual(rest, { type: 'refused', key, code: 'not_joined', retry: 'fix', local: true });
  assert.match(message, /\.$/);
  assert.equal(line.session.pending.size, 0);
};
const isUnknown = (line, key) => {
  assert.deepEqual(line.answers.map((a) => [a.key, a.message.type, a.message.key]), [[key, 'unknown', key]]);
  assert.match(line.answers[0].message.message, /\.$/);
  assert.equal(line.session.pending.size, 0);
};

test('leaving refuses the gifts that were never sent, here, and only those of that room', () => {
  const line = opened().do({ type: 'join', room: 'other' });
  line.give('k1').do({ type: 'gift', message: { type: 'gift', key: 'k2', room: 'other', gift: 'spark' } });
  leaving(line);
  assert.deepEqual(line.sent, [{ type: 'leave', room: 'r' }]);
  assert.deepEqual(line.answers.map((a) => [a.key, a.message.code]), [['k1', 'not_joined']]);
  assert.deepEqual([...line.session.pending.keys()], ['k2']);
});

test('leaving while the line is down refuses what was given meanwhile', () => {
  isNotJoined(leaving(broken(live()).give('k1')), 'k1');
});

test('a refused join refuses the gifts that waited for it', () => {
  const line = opened();
  const { id } = line.sent[0];
  isNotJoined(refuseJoin(line.give('k1'), id), 'k1');
});

test('a join that is asked again keeps the gifts that wait for it', () => {
  const line = opened();
  const { id } = line.sent[0];
  assert.deepEqual(refuseJoin(line.give('k1'), id, 'same').answers, []);
  assert.equal(line.session.pending.size, 1);
});

test('a gift into a room that was left, refused or never joined is refused at once', () => {
  isNotJoined(leaving(live()).give('k1'), 'k1');
  const refused = opened();
  isNotJoined(refuseJoin(refused, refused.sent[0].id).give('k1'), 'k1');
  isNotJoined(new Line().do({ type: 'start' }).give('k1'), 'k1');
});

test('a sent gift waits for its answer after leaving, for the server still answers', () => {
  const line = leaving(live().give('k1'));
  assert.deepEqual(line.answers, []);
  line.say(accepted('k1', 11, 1));
  assert.deepEqual(line.answers.map((a) => a.message.type), ['accepted']);
  assert.equal(line.session.pending.size, 0);
});

test('a sent gift is unknown when the line breaks after leaving, and does not go out again', () => {
  const line = leaving(live().give('k1'));
  isUnknown(broken(line), 'k1');
  line.ring('reconnect').do({ type: 'opened' }).say(welcome());
  assert.deepEqual([line.sent, line.answers], [[], []]);
});

test('a sent gift is unknown when the room is left after the line broke: it may have been booked', () => {
  isUnknown(leaving(broken(live().give('k1'))), 'k1');
});

test('a sent gift is unknown when the join after a reconnect is refused', () => {
  const line = back(live().give('k1'));
  isUnknown(refuseJoin(line, line.sent[0].id), 'k1');
});

test('a sent gift is unknown when the line is closed for good after leaving', () => {
  isUnknown(broken(leaving(live().give('k1')), 4502), 'k1');
});

test('a held gift is unknown when its room is left, or was left before it would be held', () => {
  const busy = { type: 'refused', key: 'k1', code: 'busy', message: 'Busy.', retry: 'same' };
  isUnknown(leaving(live().give('k1').say(busy)), 'k1');
  const line = leaving(live().give('k1')).say(busy);
  isUnknown(line, 'k1');
  assert.deepEqual(line.emitted('delayed'), [], 'it will not be sent again');
});

test('an unknown gift can be given again with its key, to learn what became of it', () => {
  const line = live().give('k1');
  const [first] = line.sent;
  leaving(broken(line));
  line.do({ type: 'join', room: 'r' }).ring('reconnect').do({ type: 'opened' }).say(welcome());
  line.say(joined(11, 101, { id: line.sent[0].id }));
  assert.deepEqual(line.give('k1').sent, [first]);
  assert.equal(line.say(accepted('k1', 11, 1, { replayed: true })).answers[0].message.replayed, true);
});

test('a hundred gifts into a room that was left do not block the next room', () => {
  const line = broken(live());
  for (let i = 0; i < 100; i++) line.give(`k${i}`);
  assert.equal(leaving(line).answers.length, 100);
  line.do({ type: 'join', room: 'r' }).give('next');
  assert.deepEqual(line.answers, []);
});

test('a level that someone reached is told to listeners', () => {
  const risen = { type: 'level_up', room: 'r', user: { id: 'ann', name: 'Ann' }, level: 4 };
  assert.deepEqual(live().say(risen).emitted('level_up'), [risen]);
});

test('a reminder about spending is told whole, and asks for no reconnect', () => {
  const reminder = { type: 'notice', code: 'limit_reminder', message: 'Half of it.', details: { percent: 50 } };
  const line = live().say(reminder);
  assert.deepEqual(line.emitted('notice'), [reminder]);
  assert.equal(line.session.reconnectAfterMs, 0);
});
