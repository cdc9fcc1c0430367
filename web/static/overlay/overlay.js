/**
 * The overlay: what a creator puts over the video in OBS. Everything is set in the address:
 * `token`, `room`, and if wanted `min` (coins from which on there is an alert), `max` (alerts that may
 * wait), `board` (0, 1 or 5 top gifters) and `bg` (a colour to test with; OBS wants none).
 *
 * OBS pauses requestAnimationFrame when the source is in no scene, so time here is the wall clock. The
 * same address in two scenes is two pages, and both show: sharing alerts out is the server's to do.
 */

import { Largesse } from '../largesse.js';
import { buildAct, updateAct } from '../show/acts.js';
import { element, loadPictures, personName } from '../show/dom.js';
import { number } from '../show/words.js';
import { advance, cancel, newAlerts, nextChangeMs, offer, passed, shownSeq } from './alerts.js';

/** The leaving animation in show.css takes this long. */
const LEAVE_MS = 400;
/** A timer that OBS held back is caught up with at the next turn; this bounds how late one can be. */
const TURN_MAX_MS = 1_000;

const query = new URLSearchParams(location.search);
const room = query.get('room');
const token = query.get('token');
const boardRows = wholeNumber('board', 5);

const parts = {
  alerts: document.querySelector('#alerts'),
  board: document.querySelector('#board'),
  trouble: document.querySelector('#trouble'),
};
let alerts = newAlerts({ minCoins: wholeNumber('min', 1), queueMax: wholeNumber('max', 20) });
let figure = null;
let timer = 0;
let told = 0;

loadPictures();
if (CSS.supports('color', query.get('bg') ?? '')) document.body.style.background = query.get('bg');
if (token && room) follow(new Largesse({ token }));
else say('This overlay’s address is not complete: it needs ?token=…&room=…. Make a new overlay link.');

function follow(client) {
  on('gift', (gift) => offer(alerts, gift, Date.now()));
  on('gift_retracted', ({ gift_seq, seq }) => passed(cancel(alerts, gift_seq), seq));
  on('gift_hidden', ({ gift_seq, seq }) => passed(cancel(alerts, gift_seq), seq));
  on('events', ({ last }) => passed(alerts, last));
  on('joined', (joined) => {
    say('');
    showBoard(joined.board);
    // A new start: nothing of before it is shown again, nor told of.
    if (!joined.recovered) told = joined.seq;
    return joined.recovered ? alerts : { ...alerts, handledSeq: joined.seq };
  });
  listen('board', showBoard);
  listen('state', ({ phase, message }) => { if (phase === 'refused') say(message); });
  listen('refused', ({ message }) => say(message));
  client.connect();
  client.join(room);

  function listen(name, hear) {
    client.addEventListener(name, ({ detail }) => hear(detail));
  }

  /** What changes the alerts is followed by a turn. */
  function on(name, change) {
    listen(name, (detail) => { alerts = change(detail); turn(client); });
  }
}

/** Draw what is due now, tell the server what is done, and come again when something changes. */
function turn(client) {
  alerts = advance(alerts, Date.now());
  const ended = draw(alerts.current);
  const seq = shownSeq(alerts);
  if (ended && seq > told) {
    told = seq;
    client.shown(room, seq);
  }
  clearTimeout(timer);
  const changeMs = nextChangeMs(alerts);
  if (changeMs === null) return;
  timer = setTimeout(() => turn(client), Math.min(TURN_MAX_MS, Math.max(10, changeMs - Date.now())));
}

/** @returns {boolean} whether an alert has ended */
function draw(current) {
  const ended = figure !== null && figure.dataset.key !== current?.key;
  if (ended) leave();
  if (current && figure) updateAct(figure, current);
  else if (current) {
    figure = buildAct(current);
    parts.alerts.append(figure);
  }
  return ended;
}

function leave() {
  const gone = figure;
  figure = null;
  gone.classList.add('leaving');
  setTimeout(() => gone.remove(), LEAVE_MS);
}

function showBoard({ top }) {
  const rows = top.slice(0, boardRows).map((row) => element('li', {},
    element('span', { class: 'rank' }, number(row.rank)), personName(row.user.name || row.user.id),
    element('span', { class: 'worth' }, number(row.coins))));
  parts.board.replaceChildren(...rows);
  parts.board.hidden = rows.length === 0;
}

/** A sentence for the creator; an overlay that works says nothing. */
function say(sentence) {
  parts.trouble.textContent = sentence;
  parts.trouble.hidden = !sentence;
}

function wholeNumber(name, otherwise) {
  const value = Number.parseInt(query.get(name) ?? '', 10);
  return Number.isInteger(value) && value >= 0 ? value : otherwise;
}
