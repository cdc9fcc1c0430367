/** `<connection-state>` and `<books-check>`: is this live, and is it true? */

import { element } from '../show/dom.js';
import { number } from '../show/words.js';

const WORDS = {
  idle: () => 'Not connected',
  connecting: () => 'Connecting…',
  live: () => 'Live',
  reconnecting: (state) => {
    const seconds = Math.ceil(Math.max(0, state.at_ms - Date.now()) / 1000);
    return seconds > 0 ? `Reconnecting in ${seconds} s` : 'Reconnecting…';
  },
  refused: (state) => `Refused: ${state.message}`,
  closed: () => 'Closed',
};

export class ConnectionState extends HTMLElement {
  #timer = 0;

  /** @param {object} state the client's `state` */
  show(state) {
    clearInterval(this.#timer);
    this.dataset.phase = state.phase;
    this.title = state.message ?? '';
    this.textContent = WORDS[state.phase](state);
    if (state.phase === 'reconnecting') {
      this.#timer = setInterval(() => { this.textContent = WORDS.reconnecting(state); }, 500);
    }
  }

  disconnectedCallback() {
    clearInterval(this.#timer);
  }
}

const PROBLEMS = {
  not_a_number: () => 'a total was not a whole number',
  total_before: (p) => `the room had ${number(p.expected)} coins, the server says ${number(p.got)}`,
  total_coins: (p) => `gifts make it ${number(p.expected)} coins, the server says ${number(p.got)}`,
  log_shrank: (p) => `entry ${number(p.expected)} was there, now the last is ${number(p.got)}`,
};

export class BooksCheck extends HTMLElement {
  #problem = null;

  connectedCallback() {
    this.dataset.verified ??= '0';
    if (!this.firstChild) this.verified(0);
  }

  /** So many entries have added up. A problem stays on show: it does not go away by being followed. */
  verified(count) {
    this.dataset.verified = String(count);
    const sum = `✓ ${number(count)} ${count === 1 ? 'event' : 'events'} verified`;
    if (!this.#problem) this.replaceChildren(sum);
    else this.replaceChildren(this.#problem, ` (${sum} in all)`);
  }

  /** @param {object} problem the client's `mismatch` */
  mismatch(problem) {
    this.dataset.mismatches = String(problem.mismatches);
    const where = `Events ${number(problem.first)}–${number(problem.last)}`;
    this.#problem = element('strong', {}, `✗ ${where} do not add up: ${PROBLEMS[problem.what](problem)}.`);
    this.replaceChildren(this.#problem);
  }
}

customElements.define('connection-state', ConnectionState);
customElements.define('books-check', BooksCheck);
