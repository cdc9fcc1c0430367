/** `<spending-view>`: what was spent in each window, what is left of its limit, and when more frees. */

import { element } from '../show/dom.js';
import { moment, WINDOWS, windowWords } from './limits.js';

/** From this part of a limit on the bar has another colour. */
const NEARLY = 0.8;

export class SpendingView extends HTMLElement {
  #states = element('div', { role: 'status' });
  #windows = element('ul', { class: 'windows' });

  connectedCallback() {
    this.append(this.#states, this.#windows);
  }

  /** @param {object} wallet `GET …/wallet` @param {(amount: number) => string} written coins with their price */
  show(wallet, written) {
    const { limits } = wallet;
    this.#states.replaceChildren(...states(wallet, written).map((text) => element('p', { class: 'state' }, text)));
    this.#windows.replaceChildren(...WINDOWS.map(({ name, title }) => row(title, limits[name], written)));
  }
}

function states({ limits, frozen, coin_debt: debt }, written) {
  return [
    limits.paused_until_ms ? `You are taking a break: no gifts until ${moment(limits.paused_until_ms)}.` : null,
    frozen ? 'Your account is frozen: you cannot send gifts. Ask the people who run the site.' : null,
    debt ? `You owe ${written(Math.abs(debt))}, because of a payment that was taken back.` : null,
  ].filter((text) => text !== null);
}

function row(title, window, written) {
  const { spent, left, frees } = windowWords(window, written);
  return element('li', { 'data-window': title },
    element('h3', {}, title), element('p', {}, element('strong', {}, spent)),
    meter(title, window), element('p', {}, left), frees ? element('p', { class: 'soft' }, frees) : null);
}

/** A bar beside the words that say the same. */
function meter(title, { limit_coins: limit, spent_coins: spent }) {
  if (!limit) return null;
  return element('meter', { min: '0', max: String(limit), value: String(Math.min(spent, limit)),
    high: String(limit * NEARLY), optimum: '0', 'aria-label': `${title}: part of the limit that is spent` });
}

customElements.define('spending-view', SpendingView);
