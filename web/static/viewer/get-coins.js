/**
 * `<get-coins>`: a button and a dialog: what coins cost, how many, and off to the payment. What is paid
 * arrives as a `balance` push; here it is only told how the purchase ended. Nothing is chosen
 * beforehand and nothing is called a bargain: how much to spend is for the person to say.
 */

import { ask } from '../api.js';
import { coinsAndPrice, pricesOf } from '../money.js';
import { uuidv7 } from '../pending.js';
import { aboutSpending } from '../safety/limits.js';
import { element } from '../show/dom.js';
import { coins, number } from '../show/words.js';
import { checkoutAddress, endWords, exactAmount, readWish, wishFor } from './purchase.js';
import { safetyLink } from './safety-link.js';

const KEPT = 'largesse.purchase';
/** How often and for how long the server is asked how a purchase ended: ten minutes, then only at a push. */
const LOOK_EVERY_MS = 4_000;
const LOOKS_MAX = 150;

export class GetCoins extends HTMLElement {
  #shop = null;
  #prices = pricesOf(null);
  #token = null;
  #parts = {};
  #awaited = null; // the purchase that is being paid
  #looks = 0;
  #timer = 0;

  connectedCallback() {
    const p = this.#parts = {
      open: element('button', { type: 'button', class: 'get-coins-button', hidden: true }, 'Get coins'),
      dialog: element('dialog', { class: 'confirm get-coins', 'aria-labelledby': 'get-coins-title' }),
      choices: element('fieldset', { class: 'choices' }),
      amount: element('input', { name: 'amount', inputmode: 'numeric', autocomplete: 'off', 'aria-label': 'How many coins',
        'aria-describedby': 'get-coins-range' }),
      range: element('span', { id: 'get-coins-range', class: 'soft' }),
      perCoin: element('p', { class: 'confirm-note' }),
      sum: element('p', { class: 'sum', role: 'status' }),
      refusal: element('p', { class: 'shop-refusal', role: 'alert', hidden: true }),
      buy: element('button', { class: 'confirm-send' }, 'Continue to payment'),
      waiting: element('div', { class: 'awaiting', role: 'status' }),
      note: element('span', { class: 'soft get-coins-note', role: 'status' }),
    };
    p.form = element('form', { novalidate: true }, p.perCoin, p.choices, p.sum, p.refusal,
      element('div', { class: 'confirm-buttons' }, this.#closing('Not now'), p.buy));
    p.dialog.append(element('h2', { id: 'get-coins-title' }, 'Get coins'), p.form, p.waiting);
    this.append(p.open, ' ', p.note, p.dialog);
    p.open.addEventListener('click', () => this.#open());
    p.form.addEventListener('submit', (event) => { event.preventDefault(); this.#buy(); });
    p.form.addEventListener('input', () => this.#drawSum());
    p.amount.addEventListener('focus', () => this.#choose('exact'));
    addEventListener('focus', () => this.#look());
  }

  disconnectedCallback() { clearTimeout(this.#timer); }

  /** @param {object} shop `GET /v1/bundles` @param {string} token who buys */
  offer(shop, token) {
    [this.#shop, this.#prices, this.#token] = [shop, pricesOf(shop), token];
    const p = this.#parts;
    p.perCoin.replaceChildren(`Coins cost real money: one coin is ${this.#prices.of(1)}. `, safetyLink());
    p.range.textContent = `${number(shop.minimum_coins)} to ${number(shop.maximum_coins)}`;
    p.choices.replaceChildren(element('legend', {}, 'How many?'),
      ...shop.bundles.map((bundle) => choice(bundle.id, coins(bundle.coins),
        this.#prices.written(bundle.price_minor, bundle.currency))),
      element('div', { class: 'exact' }, choice('exact', 'Exactly'), p.amount, p.range));
    p.open.hidden = false;
  }

  /** The balance has changed: perhaps because the payment came. */
  balanceMoved() { this.#look(); }

  #closing(text) {
    const button = element('button', { type: 'button' }, text);
    button.addEventListener('click', () => this.#parts.dialog.close());
    return button;
  }

  #open() {
    this.#parts.dialog.showModal();
    if (this.#awaited) { this.#look(); return; }
    this.#showForm();
    const kept = readWish(sessionStorage.getItem(KEPT));
    if (kept) this.#offerAgain(kept);
  }

  #showForm() {
    clearTimeout(this.#timer);
    this.#awaited = null;
    this.#parts.note.textContent = '';
    this.#parts.waiting.replaceChildren();
    this.#parts.form.hidden = false;
    this.#parts.form.querySelector('[name="what"]').focus();
    this.#refuse('');
    this.#drawSum();
  }

  #offerAgain({ order }) {
    this.#choose(order.bundle ?? 'exact');
    if (order.coins) this.#parts.amount.value = String(order.coins);
    this.#refuse('Your last purchase was not answered. You can send it again: it will be made only once.');
    this.#drawSum();
  }

  #choose(value) {
    const radio = [...this.#parts.form.querySelectorAll('[name="what"]')].find((one) => one.value === value);
    if (radio) radio.checked = true;
    this.#drawSum();
  }

  /** What is chosen: `{order, what}`, or `{problem}`, or null when nothing is. */
  #chosen() {
    const { form, amount } = this.#parts;
    const value = new FormData(form).get('what');
    if (value === null) return null;
    if (value !== 'exact') {
      const bundle = this.#shop.bundles.find(({ id }) => id === value);
      return { order: { bundle: bundle.id },
        what: `${coins(bundle.coins)} for ${this.#prices.written(bundle.price_minor, bundle.currency)}` };
    }
    const exact = exactAmount(amount.value, this.#shop, (some) => coinsAndPrice(this.#prices, some));
    return exact.problem ? exact : { order: exact, what: `${coins(exact.coins)} for ${this.#prices.toBuy(exact.coins)}` };
  }

  #drawSum() {
    this.#parts.sum.textContent = this.#chosen()?.what ?? '';
  }

  #refuse(sentence, ...more) {
    this.#parts.refusal.replaceChildren(sentence, ...more);
    this.#parts.refusal.hidden = !sentence;
  }

  async #buy() {
    const chosen = this.#chosen();
    if (!chosen) { this.#refuse('Choose how many coins you want.'); return; }
    if (chosen.problem) { this.#refuse(chosen.problem); this.#parts.amount.focus(); return; }
    const wish = wishFor(readWish(sessionStorage.getItem(KEPT)), chosen.order,
      () => uuidv7(Date.now(), crypto.getRandomValues(new Uint8Array(10))));
    sessionStorage.setItem(KEPT, JSON.stringify(wish));
    this.#parts.buy.disabled = true;
    const answer = await ask('POST', '/v1/purchases', { token: this.#token, body: wish.order, key: wish.key });
    this.#parts.buy.disabled = false;
    if (answer.ok || !answer.open) sessionStorage.removeItem(KEPT);
    if (answer.ok) this.#await(answer.body);
    else this.#refuse(answer.sentence, ...(aboutSpending(answer.code) ? [' ', safetyLink()] : []));
  }

  #await({ purchase, status, checkout_url: url, coins: amount, price_minor: minor, currency }) {
    const what = `${coins(amount)} for ${this.#prices.written(minor, currency)}`;
    const address = checkoutAddress(url, location.href);
    this.#awaited = { purchase, what };
    this.#looks = 0;
    if (this.#ended(status)) return;
    const opened = address && open(address, '_blank');
    if (opened) opened.opener = null;
    const link = address && element('a', { class: 'checkout-link', href: address, target: '_blank', rel: 'noopener' },
      opened ? 'Open the payment page again' : 'Open the payment page');
    this.#say(`Waiting for the payment: ${what}.`,
      opened ? 'The payment page is open in another tab. Your coins arrive here by themselves.'
        : 'Your browser did not open the payment page by itself. Your coins arrive here once you have paid.', link);
    this.#parts.note.textContent = 'Waiting for the payment…';
    this.#lookLater();
  }

  /** The second view of the dialog: what becomes of the purchase. */
  #say(headline, note, link = null) {
    const again = element('button', { type: 'button' }, 'Buy other coins');
    again.addEventListener('click', () => this.#showForm());
    const close = this.#closing('Close');
    this.#parts.form.hidden = true;
    this.#parts.waiting.replaceChildren(element('p', { class: 'confirm-question' }, headline),
      element('p', { class: 'confirm-note' }, note), link ?? '', element('div', { class: 'confirm-buttons' }, again, close));
    if (this.#parts.dialog.open) (link ?? close).focus();
  }

  #ended(status) {
    const words = endWords(status, this.#awaited.what);
    if (words === null) return false;
    clearTimeout(this.#timer);
    this.#awaited = null;
    this.#say(words, '');
    this.#parts.note.textContent = words;
    return true;
  }

  #lookLater() {
    clearTimeout(this.#timer);
    if (this.#looks < LOOKS_MAX) this.#timer = setTimeout(() => this.#look(), LOOK_EVERY_MS);
  }

  async #look() {
    const asked = this.#awaited;
    if (!asked) return;
    this.#looks += 1;
    const answer = await ask('GET', `/v1/purchases/${encodeURIComponent(asked.purchase)}`, { token: this.#token });
    if (this.#awaited !== asked) return; // meanwhile something else was begun
    if (!answer.ok || !this.#ended(answer.body.status)) this.#lookLater();
  }
}

function choice(value, ...content) {
  return element('label', { class: 'choice' }, element('input', { type: 'radio', name: 'what', value }),
    ...content.map((part) => element('span', {}, part)));
}

customElements.define('get-coins', GetCoins);
