/**
 * The viewer page: connects the client library (largesse.js) with what is on the page. What one part
 * learns reaches another only through here.
 */

import { ask } from '../api.js';
import { Largesse } from '../largesse.js';
import { pricesOf } from '../money.js';
import { aboutSpending } from '../safety/limits.js';
import { element, loadPictures } from '../show/dom.js';
import '../show/stage.js';
import '../show/tray.js';
import { coins, number } from '../show/words.js';
import './get-coins.js';
import './gift-panel.js';
import './live-board.js';
import { demoPlace, forget, placeFromAddress, remember, welcomed } from './place.js';
import { safetyLink } from './safety-link.js';
import './status.js';

/** How often the own place on the board is asked for at most while others give. */
const STANDING_EVERY_MS = 3_000;
/** Refusals that mean that our catalogue is not the server's any more. */
const CATALOGUE_CHANGED = new Set(['price_changed', 'unknown_gift', 'gift_unavailable']);

const find = (selector) => document.querySelector(selector);
const parts = {
  state: find('connection-state'), books: find('books-check'), stage: find('gift-stage'),
  tray: find('gift-tray'), board: find('live-board'), panel: find('gift-panel'), notice: find('#notice'),
  shop: find('get-coins'), reminder: find('#reminder'), entrance: find('#entrance'),
};

/** Find a token, or ask for one. */
async function enter() {
  const place = placeFromAddress();
  if (place.token && place.room) { watch(place); return; }
  const made = place.token ? null : await demoPlace();
  if (made) {
    remember(made.token, made.room);
    watch(made);
  } else {
    askForToken(place, place.token ? 'Which room do you want to watch?'
      : 'You need a token to watch and give. Open this page from your stream’s site, which adds one, '
        + 'or paste a token here (“largesse token --user you --adult” prints one).');
  }
}

function askForToken(place, sentence) {
  find('#entrance-why').textContent = sentence;
  const form = parts.entrance.querySelector('form');
  form.elements.room.value = place.room ?? '';
  form.elements.token.required = !place.token;
  form.elements.token.placeholder = place.token ? 'You have one; leave this empty to keep it.' : '';
  form.onsubmit = (event) => {
    event.preventDefault();
    const [token, room] = ['token', 'room'].map((name) => form.elements[name].value.trim());
    remember(token || place.token, room);
    // A fresh page, and not a second client on this one.
    location.assign(`/?${new URLSearchParams({ room })}`);
  };
  parts.entrance.hidden = false;
}

function watch({ token, room }) {
  const client = new Largesse({ token });
  showConnection(client, room);
  showRoom(client, room);
  showGifts(client, room);
  giveFromPanel(client, room);
  openShop(client, token);
  client.connect();
  client.join(room);
}

function showConnection(client, room) {
  on(client, 'state', (state) => {
    parts.state.show(state);
    if (state.phase === 'refused') comeInAgain(state, room);
  });
  on(client, 'notice', showNotice);
  on(client, 'verified', ({ verified }) => parts.books.verified(verified));
  on(client, 'mismatch', (problem) => parts.books.mismatch(problem));
  on(client, 'refused', (refusal) => {
    if (refusal.room === room && refusal.key === undefined) askForToken({ room }, refusal.message);
  });
}

/** A token that is not taken any more is forgotten; a demo that was restarted makes a new viewer. */
async function comeInAgain({ code, message }, room) {
  if (code !== 4501 && code !== 4502) return;
  forget();
  const made = await demoPlace();
  if (!made) { askForToken({ room }, message); return; }
  remember(made.token, made.room);
  location.reload();
}

function showNotice({ code, message }) {
  if (code === 'limit_reminder') { remind(message); return; }
  parts.notice.textContent = message;
  parts.notice.hidden = false;
}

/** How much someone has spent is said beside the gifts, and stays until it has been read. */
function remind(sentence) {
  const close = element('button', { type: 'button' }, 'Close');
  close.addEventListener('click', () => parts.reminder.replaceChildren());
  parts.reminder.replaceChildren(element('p', { class: 'reminder' },
    element('span', {}, sentence, ' ', safetyLink()), close));
}

/** Prices in money, and a way to buy. A server without a shop has neither. */
async function openShop(client, token) {
  on(client, 'balance', () => parts.shop.balanceMoved());
  const answer = await ask('GET', '/v1/bundles');
  if (!answer.ok) return;
  parts.panel.price(pricesOf(answer.body));
  parts.shop.offer(answer.body, token);
}

function showRoom(client, room) {
  let userId = null;
  on(client, 'welcome', ({ user, catalogue }) => {
    welcomed();
    userId = user.id;
    parts.board.userId = user.id;
    find('#me').textContent = user.name || user.id;
    loadCatalogue(catalogue);
  });
  on(client, 'joined', (joined) => {
    document.title = `${joined.title} · largesse`;
    find('#title').textContent = joined.title;
    find('#creator').textContent = joined.creator.name || joined.creator.id;
    parts.notice.hidden = true;
    if (!joined.recovered) {
      showTotal(joined.total_coins);
      parts.board.reset();
      parts.books.verified(client.log(room).verified);
    }
    showViewers(joined.viewers);
    showBalance(joined.balance_coins);
    parts.board.show(joined.board);
    parts.board.standing(joined.me);
    if (joined.status === 'closed') closeRoom();
  });
  on(client, 'viewers', ({ count }) => showViewers(count));
  on(client, 'balance', ({ balance_coins }) => showBalance(balance_coins));
  on(client, 'verified', ({ totalCoins }) => showTotal(totalCoins));
  on(client, 'standing', (standing) => parts.board.standing(standing));
  const askStanding = atMostEvery(STANDING_EVERY_MS, () => client.standing(room));
  on(client, 'board', (board) => {
    parts.board.show(board);
    if (userId !== null) askStanding();
  });
}

const showTotal = (amount) => { find('#total').textContent = number(amount); };
const showViewers = (count) => { find('#viewers').textContent = number(count); };
const showBalance = (amount) => { if (Number.isInteger(amount)) find('#balance').textContent = coins(amount); };

function closeRoom() {
  parts.panel.close('This room is closed. Thank you for watching.');
}

function showGifts(client, room) {
  on(client, 'gift', (gift) => {
    parts.tray.give(gift);
    parts.stage.give(gift);
    if (gift.level_up && gift.from.id) parts.tray.rise(gift.from, gift.level_up);
  });
  on(client, 'level_up', (risen) => { if (risen.room === room) parts.tray.rise(risen.user, risen.level); });
  on(client, 'events', (frame) => parts.tray.omit(frame.omitted, frame.last));
  on(client, 'gift_retracted', (event) => { parts.tray.retract(event); parts.stage.cancel(event.gift_seq); });
  on(client, 'gift_hidden', ({ gift_seq }) => { parts.tray.hide(gift_seq); parts.stage.cancel(gift_seq); });
  on(client, 'room_closed', ({ seq }) => { parts.tray.note(seq, 'The room was closed.'); closeRoom(); });
}

function giveFromPanel(client, room) {
  let newestSeq = 0; // answers may come in any order: only the newest knows the balance
  const showUnanswered = () => parts.panel.unanswered(client.unanswered);
  parts.panel.addEventListener('give', async ({ detail }) => {
    const answering = client.gift({ room, ...detail });
    showUnanswered();
    const answer = await answering;
    showUnanswered();
    if (answer.type !== 'accepted') { showRefusal(answer); return; }
    parts.panel.accepted();
    // A replayed answer is the first one again, and its balance is of that moment.
    if (answer.replayed || answer.seq < newestSeq) return;
    newestSeq = answer.seq;
    showBalance(answer.balance_coins);
    parts.board.standing(answer.me);
  });
  on(client, 'joined', ({ recovered }) => { if (!recovered) newestSeq = 0; });
}

function showRefusal(refusal) {
  parts.panel.refused(refusal.message, { aboutSpending: aboutSpending(refusal.code ?? '') });
  if (CATALOGUE_CHANGED.has(refusal.code)) loadCatalogue(null);
}

let catalogueVersion = null;

/** Load the catalogue unless we have this version of it. */
async function loadCatalogue(version) {
  if (version !== null && version === catalogueVersion) return;
  const answer = await fetch('/v1/catalogue').catch(() => null);
  if (!answer?.ok) { parts.panel.refused('The gifts could not be loaded. Reload the page to try again.'); return; }
  const catalogue = await answer.json();
  catalogueVersion = catalogue.version;
  parts.panel.show(catalogue);
}

function on(client, name, listen) {
  client.addEventListener(name, ({ detail }) => listen(detail));
}

/** Calls at most once in `everyMs`; a call in between is made up for at the end. */
function atMostEvery(everyMs, call) {
  let timer = 0;
  let again = false;
  return function ask() {
    if (timer) { again = true; return; }
    call();
    timer = setTimeout(() => { timer = 0; if (again) { again = false; ask(); } }, everyMs);
  };
}

loadPictures();
enter();
// A link with a token, followed on this very page, changes only the fragment and loads nothing.
addEventListener('hashchange', () => location.reload());
