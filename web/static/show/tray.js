/**
 * `<gift-tray>`: the lines (lines.js) on the page. A screen reader hears each new line once, from a
 * live region of its own: made live themselves, the lines would be read again at every tap of a combo.
 */

import { element, giftPicture, personName } from './dom.js';
import { addGift, addLevel, addNote, addOmitted, addRetraction, hideGift } from './lines.js';
import { restart } from './acts.js';
import { coins, number } from './words.js';

/** In a busy room many frames a second arrive; nobody reads more often than this. */
const REDRAW_MS = 100;
/** Sentences that wait in the live region; in a flood the newest are the ones worth hearing. */
const SPOKEN_MAX = 3;

export class GiftTray extends HTMLElement {
  #lines = [];
  #rows = new Map();
  #list = element('ol', { 'aria-label': 'Gifts' });
  #voice = element('div', { class: 'visually-hidden', 'aria-live': 'polite' });
  #timer = 0;

  connectedCallback() {
    this.append(this.#list, this.#voice);
  }

  give(event) { this.#change(addGift(this.#lines, event)); }
  omit(omitted, seq) { this.#change(addOmitted(this.#lines, omitted, seq)); }
  retract(event) { this.#change(addRetraction(this.#lines, event)); }
  hide(giftSeq) { this.#change(hideGift(this.#lines, giftSeq)); }
  rise(user, level) { this.#change(addLevel(this.#lines, user, level)); }
  note(seq, text) { this.#change(addNote(this.#lines, seq, text)); }

  #change(lines) {
    if (lines === this.#lines) return;
    this.#lines = lines;
    this.#timer ||= setTimeout(() => { this.#timer = 0; this.#draw(); }, REDRAW_MS);
  }

  #draw() {
    const present = new Set(this.#lines.map((line) => line.key));
    for (const [key, { row }] of this.#rows) {
      if (!present.has(key)) { row.remove(); this.#rows.delete(key); }
    }
    for (const line of this.#lines) this.#drawLine(line);
    this.#list.scrollTop = this.#list.scrollHeight;
  }

  #drawLine(line) {
    const known = this.#rows.get(line.key);
    if (known?.line === line) return;
    const row = known?.row ?? element('li', { class: `line line-${line.kind}`, 'data-key': line.key });
    row.replaceChildren(...CONTENT[line.kind](line));
    row.classList.toggle('retracted', line.retracted === true);
    if (known) restart(row, 'grew');
    else this.#appear(row);
    this.#rows.set(line.key, { row, line });
  }

  #appear(row) {
    this.#list.append(row);
    this.#voice.append(element('p', {}, row.textContent));
    while (this.#voice.childElementCount > SPOKEN_MAX) this.#voice.firstChild.remove();
  }
}

const CONTENT = {
  gift: (line) => [
    giftPicture(line.gift, line.animation),
    element('span', { class: 'line-text' },
      personName(line.giver),
      line.level > 0 ? element('span', { class: 'level', title: `Gifter level ${line.level}` }, String(line.level)) : null,
      ' sent ', element('b', {}, line.name),
      line.message ? element('q', {}, element('bdi', {}, line.message)) : null),
    ' ',
    element('span', { class: 'line-worth' },
      line.count > 1 ? element('strong', { class: 'line-count' }, `× ${number(line.count)} `) : null,
      element('span', { class: 'line-coins' }, coins(line.coins))),
  ],
  omitted: (line) => [element('span', { class: 'line-text' },
    `and ${number(line.gifts)} smaller ${line.gifts === 1 ? 'gift' : 'gifts'}, ${coins(line.coins)}`)],
  retracted: (line) => [element('span', { class: 'line-text' },
    personName(line.giver), `’s gift of ${coins(line.coins)} was taken back`)],
  level: (line) => [element('span', { class: 'line-text' },
    personName(line.person), ` reached gifter level ${number(line.level)}`)],
  room: (line) => [element('span', { class: 'line-text' }, line.text)],
};

customElements.define('gift-tray', GiftTray);
