/** `<limit-form>`: the four own limits. It dispatches `change-limits` and shows what it is told. */

import { coinsAndPrice } from '../money.js';
import { element } from '../show/dom.js';
import { changesIn, OWN_LIMITS, ownLimits, savedWords, waitingRaises } from './limits.js';

export class LimitForm extends HTMLElement {
  #limits = null;
  #prices = null;
  #fields = new Map(); // key → [input, output]
  #raises = element('ul', { class: 'state', hidden: true });
  #save = element('button', { class: 'main-button' }, 'Save limits');
  #said = element('p', { class: 'said', role: 'status' });

  connectedCallback() {
    const form = element('form', { class: 'limits', novalidate: true }, element('div', { class: 'fields' }, ...OWN_LIMITS.map((one) => this.#field(one))));
    form.addEventListener('submit', (event) => { event.preventDefault(); this.#submit(); });
    form.append(element('p', { class: 'soft' }, 'In coins. Leave a field empty to have no limit of your own there.'), this.#save);
    this.append(form, this.#said, this.#raises);
  }

  /** @param {object} limits the wallet's `limits` @param {import('../money.js').Prices} prices */
  show(limits, prices) {
    [this.#limits, this.#prices] = [limits, prices];
    const own = ownLimits(limits);
    for (const [key, [input]] of this.#fields) {
      input.value = own[key] === null ? '' : String(own[key]);
      this.#drawPrice(key);
    }
    const raises = waitingRaises(limits, this.#written);
    this.#raises.hidden = raises.length === 0;
    this.#raises.replaceChildren(...raises.map(({ key, text }) => this.#raise(text, { [key]: own[key] })));
  }

  /** The server took the changes: what counts now. */
  saved(changes, limits) {
    this.show(limits, this.#prices);
    this.#say(savedWords(changes, limits, this.#written), 'good');
  }

  refused(sentence) { this.#say(sentence, 'bad'); }

  #written = (amount) => coinsAndPrice(this.#prices, amount);

  #field({ key, label }) {
    const input = element('input', { id: key, name: key, inputmode: 'numeric', autocomplete: 'off', maxlength: '12', 'aria-describedby': `${key}-price` });
    const output = element('output', { id: `${key}-price`, for: key, class: 'soft' });
    input.addEventListener('input', () => this.#drawPrice(key));
    this.#fields.set(key, [input, output]);
    return element('div', { class: 'field' }, element('label', { for: key }, label), input, output);
  }

  /** A raise that waits can be given up: setting the limit that counts now does that. */
  #raise(text, asNow) {
    const button = element('button', { type: 'button' }, 'Do not raise it');
    button.addEventListener('click', () => { this.#said.tabIndex = -1; this.#said.focus(); this.#change(asNow); });
    return element('li', {}, `${text} `, button);
  }

  #change(changes) {
    this.dispatchEvent(new CustomEvent('change-limits', { detail: changes }));
  }

  #drawPrice(key) {
    const [input, output] = this.#fields.get(key);
    const text = input.value.trim();
    input.removeAttribute('aria-invalid');
    output.textContent = /^\d{1,9}$/.test(text) ? this.#prices.of(Number(text)) : text ? '' : 'none set';
  }

  #submit() {
    const texts = Object.fromEntries([...this.#fields].map(([key, [input]]) => [key, input.value]));
    const { changes, field, problem } = changesIn(texts, this.#limits);
    if (problem) {
      const [input] = this.#fields.get(field);
      input.setAttribute('aria-invalid', 'true');
      this.#say(problem, 'bad');
      input.focus();
    } else if (Object.keys(changes).length === 0) {
      this.#say('Nothing was changed.', 'soft');
    } else {
      this.#change(changes);
    }
  }

  #say(sentence, tone) {
    this.#said.className = `said ${tone}`;
    this.#said.textContent = sentence;
  }
}

customElements.define('limit-form', LimitForm);
