/**
 * `<gift-panel>`: choose a gift, how many, with what words, and send it. It knows the catalogue and
 * nothing of connections: it dispatches `give` with what was chosen, and shows what it is told.
 */

import { coinsAndPrice, pricesOf } from '../money.js';
import { element, giftPicture } from '../show/dom.js';
import { knownAnimation, number } from '../show/words.js';
import { safetyLink } from './safety-link.js';

const QUANTITIES = [1, 10, 66, 99];
/** From here on a slip of the finger costs real money, so we ask. */
const CONFIRM_FROM_COINS = 999;
const MESSAGE_CHARACTERS_MAX = 200;

export class GiftPanel extends HTMLElement {
  #chosen = null;
  #quantity = 1;
  #closed = false;
  #offered = [];
  #prices = pricesOf(null);
  #parts = {};

  connectedCallback() {
    const p = this.#parts = {
      gifts: element('div', { class: 'gifts', role: 'group', 'aria-label': 'Gifts' }),
      quantities: element('div', { class: 'quantities', role: 'group', 'aria-label': 'How many' }),
      message: element('input', { class: 'message', name: 'message', maxlength: String(MESSAGE_CHARACTERS_MAX),
        placeholder: 'Message (optional)', 'aria-label': 'Message', autocomplete: 'off' }),
      anonymous: element('input', { type: 'checkbox', name: 'anonymous' }),
      send: element('button', { class: 'send-button', type: 'submit', disabled: true }, 'Choose a gift'),
      refusal: element('p', { class: 'refusal', role: 'alert', hidden: true }),
      waiting: element('p', { class: 'waiting', hidden: true }),
      dialog: confirmDialog(),
    };
    const form = element('form', { class: 'send' }, p.quantities, p.message,
      element('label', { class: 'anonymous' }, p.anonymous, ' Anonymous'), p.send);
    form.addEventListener('submit', (event) => { event.preventDefault(); this.#submit(); });
    p.dialog.addEventListener('close', () => { if (p.dialog.returnValue === 'send') this.#give(); });
    this.append(p.gifts, p.refusal, p.waiting, form, p.dialog);
  }

  /** @param {{gifts: object[]}} catalogue `GET /v1/catalogue` */
  show(catalogue) {
    this.#offered = catalogue.gifts.filter((gift) => gift.enabled !== false);
    this.#drawGifts();
  }

  /** @param {import('../money.js').Prices} prices what coins cost; shown beside them from now on */
  price(prices) {
    this.#prices = prices;
    this.#drawGifts();
  }

  #drawGifts() {
    this.#parts.gifts.replaceChildren(...this.#offered.map((gift) => this.#tile(gift)));
    this.#choose(this.#offered.find((gift) => gift.id === this.#chosen?.id) ?? null);
  }

  /**
   * The server said no. Its sentence is meant for people, so it is shown as it is; when it is about
   * how much this person spends, with the way to where that can be looked at.
   */
  refused(sentence, { aboutSpending = false } = {}) {
    this.#parts.refusal.replaceChildren(sentence, ...(aboutSpending ? [' ', safetyLink()] : []));
    this.#parts.refusal.hidden = false;
  }

  accepted() {
    this.#parts.refusal.hidden = true;
  }

  /** So many gifts have no answer yet. */
  unanswered(count) {
    this.#parts.waiting.hidden = count === 0;
    this.#parts.waiting.textContent = count ? `Waiting for the answer to ${count === 1 ? 'a gift' : `${count} gifts`}…` : '';
  }

  /** The room is over. */
  close(sentence) {
    this.#closed = true;
    this.refused(sentence);
    this.#drawSend();
  }

  #tile(gift) {
    const animation = knownAnimation(gift.animation);
    const tile = element('button', { type: 'button', class: 'gift', 'data-gift': gift.id, 'aria-pressed': 'false' },
      giftPicture(gift.id, animation), element('span', { class: 'gift-name' }, gift.name),
      element('span', { class: 'gift-coins' }, number(gift.coins)), element('span', { class: 'visually-hidden' }, ' coins, '),
      element('span', { class: 'gift-price' }, this.#prices.of(gift.coins)));
    tile.addEventListener('click', () => this.#choose(gift));
    return tile;
  }

  #choose(gift) {
    this.#chosen = gift;
    this.#quantity = gift?.combo ? this.#quantity : 1;
    for (const tile of this.#parts.gifts.children) {
      tile.setAttribute('aria-pressed', String(tile.dataset.gift === gift?.id));
    }
    this.#drawQuantities();
    this.#drawSend();
  }

  #drawQuantities() {
    const { quantities } = this.#parts;
    quantities.hidden = !this.#chosen?.combo;
    quantities.replaceChildren(...QUANTITIES.map((quantity) => {
      const button = element('button', { type: 'button', 'data-quantity': String(quantity),
        'aria-pressed': String(quantity === this.#quantity) }, `× ${quantity}`);
      button.addEventListener('click', () => { this.#quantity = quantity; this.#drawQuantities(); this.#drawSend(); });
      return button;
    }));
  }

  #drawSend() {
    const { send } = this.#parts;
    send.disabled = !this.#chosen || this.#closed;
    if (!this.#chosen) send.textContent = 'Choose a gift';
    else send.textContent = `Send ${this.#spoken()} · ${coinsAndPrice(this.#prices, this.#cost())}`;
  }

  #cost() { return this.#chosen.coins * this.#quantity; }
  #spoken() { return this.#quantity > 1 ? `${this.#chosen.name} × ${this.#quantity}` : this.#chosen.name; }

  #submit() {
    if (!this.#chosen || this.#closed) return;
    if (this.#cost() < CONFIRM_FROM_COINS) { this.#give(); return; }
    const { dialog } = this.#parts;
    dialog.querySelector('.confirm-question').textContent = `Send ${this.#spoken()} for ${coinsAndPrice(this.#prices, this.#cost())}?`;
    dialog.returnValue = '';
    dialog.showModal();
  }

  #give() {
    const { message, anonymous } = this.#parts;
    const detail = { gift: this.#chosen.id, quantity: this.#quantity, price: this.#chosen.coins };
    if (message.value.trim()) detail.message = message.value.trim();
    if (anonymous.checked) detail.visibility = 'anonymous';
    message.value = '';
    this.dispatchEvent(new CustomEvent('give', { detail }));
  }
}

function confirmDialog() {
  return element('dialog', { class: 'confirm', 'aria-label': 'Confirm the gift' },
    element('form', { method: 'dialog' },
      element('p', { class: 'confirm-question' }),
      element('p', { class: 'confirm-note' }, 'A gift cannot be taken back.'),
      element('div', { class: 'confirm-buttons' },
        element('button', { value: 'cancel' }, 'Not now'),
        element('button', { value: 'send', class: 'confirm-send' }, 'Send it'))));
}

customElements.define('gift-panel', GiftPanel);
