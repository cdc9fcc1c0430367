import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Largesse } from '../../web/static/largesse.js';
import { accepted, frame, gift, joined, welcome } from './messages.mjs';

/** A socket on whose other end the test sits. */
class Socket extends EventTarget {
  static all = [];
  readyState = 0;
  sent = [];
  constructor(url) { super(); this.url = url; Socket.all.push(this); }
  send(text) { this.sent.push(JSON.parse(text)); }
  close() { this.readyState = 3; }
  open() { this.readyState = 1; this.dispatchEvent(new Event('open')); }
  say(message) { this.dispatchEvent(Object.assign(new Event('message'), { data: JSON.stringify(message) })); }
  break(code = 1006) { this.readyState = 3; this.dispatchEvent(Object.assign(new Event('close'), { code, reason: '' })); }
}

const turn = () => new Promise((done) => setTimeout(done, 5));
const last = () => Socket.all.at(-1);

async function joinedClient(options = {}) {
  const client = new Largesse({ url: 'ws://test/v1/ws', token: 'secret', WebSocket: Socket, random: () => 0, ...options });
  client.connect();
  client.join('r');
  await arrive();
  return client;
}

async function arrive() {
  await turn();
  last().open();
  await turn();
  last().say(welcome());
  const question = last().sent.find((m) => m.type === 'join');
  last().say(joined(0, 0, { id: question.id, recovered: question.resume !== undefined }));
}

test('the first message is hello with the token and the protocol', async () => {
  const client = await joinedClient();
  assert.deepEqual(last().sent[0], { type: 'hello', token: 'secret', protocol: 1 });
  assert.equal(last().url, 'ws://test/v1/ws');
  client.close();
});

test('a token in the address needs no hello', async () => {
  const client = await joinedClient({ tokenIn: 'query', token: async () => 'a b' });
  assert.equal(last().url, 'ws://test/v1/ws?token=a+b');
  assert.equal(last().sent[0].type, 'join');
  client.close();
});

test('a gift survives a broken line: same key, one promise, one answer', async () => {
  const client = await joinedClient();
  const promise = client.gift({ room: 'r', gift: 'spark' });
  const [first] = last().sent.filter((m) => m.type === 'gift');
  last().break();
  await arrive();
  const [again] = last().sent.filter((m) => m.type === 'gift');
  assert.deepEqual(again, first);
  last().say(accepted(first.key, 1, 1));
  assert.equal((await promise).type, 'accepted');
  assert.equal(client.unanswered, 0);
  client.close();
});

test('gifts are told in order, then the proof', async () => {
  const client = await joinedClient();
  const told = [];
  for (const name of ['gift', 'events', 'verified']) client.addEventListener(name, () => told.push(name));
  last().say(frame(1, 0, [gift(1, 2), gift(2, 3)]));
  assert.deepEqual(told, ['gift', 'gift', 'events', 'verified']);
  assert.deepEqual([client.log('r').totalCoins, client.log('r').verified], [5, 2]);
  client.close();
});

test('close answers open gifts as unknown', async () => {
  const client = await joinedClient();
  const promise = client.gift({ room: 'r', gift: 'spark' });
  client.close();
  assert.equal((await promise).type, 'unknown');
  assert.equal(client.phase, 'closed');
});

test('leaving ends the waiting of gifts that can no longer be answered', async () => {
  const client = await joinedClient();
  const sent = client.gift({ room: 'r', gift: 'spark', key: 'sent' });
  last().break();
  const unsent = client.gift({ room: 'r', gift: 'spark', key: 'unsent' });
  client.leave('r');
  const answers = await Promise.race([Promise.all([sent, unsent]), turn().then(() => 'still waiting')]);
  client.close();
  assert.notEqual(answers, 'still waiting');
  assert.deepEqual(answers.map((a) => [a.key, a.type]), [['sent', 'unknown'], ['unsent', 'refused']]);
  assert.equal(client.unanswered, 0);
});
