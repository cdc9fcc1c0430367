/** `<live-board>`: the top gifters of the room, and where you stand. */

import { element, personName } from '../show/dom.js';
import { coins, number } from '../show/words.js';

export class LiveBoard extends HTMLElement {
  #asOf = -1;
  #top = element('ol', { class: 'board-top' });
  #own = element('p', { class: 'board-own' });
  #me = { coins: 0, rank: null, to_next_coins: null };
  #userId = null;

  connectedCallback() {
    this.append(this.#top, this.#own);
    this.#draw([]);
  }

  /** Who "you" is. */
  set userId(id) { this.#userId = id; }

  /** A new log starts: what was known of the old one counts no more. */
  reset() { this.#asOf = -1; }

  /** @param {object} board `{as_of, top}`; an older one than shown is left out */
  show(board) {
    if (board.as_of < this.#asOf) return;
    this.#asOf = board.as_of;
    const own = board.top.find((row) => row.user.id === this.#userId);
    if (own) this.#me = { ...this.#me, coins: own.coins, rank: own.rank };
    this.#draw(board.top);
  }

  /** @param {{coins: number, rank: number|null, to_next_coins?: number|null}} me */
  standing(me) {
    this.#me = { coins: me.coins, rank: me.rank, to_next_coins: me.to_next_coins ?? null };
    this.#drawOwn();
  }

  #draw(top) {
    this.#top.replaceChildren(...top.map((row) => this.#row(row)));
    if (!top.length) this.#top.append(element('li', { class: 'board-empty' }, 'Nobody yet. The first gift leads.'));
    this.#drawOwn();
  }

  #row({ rank, user, coins: amount }) {
    return element('li', { 'data-user': user.id, class: user.id === this.#userId ? 'is-me' : '' },
      element('span', { class: 'board-rank' }, number(rank)),
      personName(user.name || user.id),
      element('span', { class: 'board-coins' }, number(amount)));
  }

  #drawOwn() {
    const { coins: amount, rank, to_next_coins: toNext } = this.#me;
    const place = rank ? `You are number ${number(rank)} with ${coins(amount)}` : 'You have not sent anything here yet';
    this.#own.textContent = place + (rank > 1 && toNext ? `, ${coins(toNext)} from the next place.` : '.');
  }
}

customElements.define('live-board', LiveBoard);
