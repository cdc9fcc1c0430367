/** `<pause-choice>`: how long to pause, asked once more because it cannot be undone. Dispatches `pause`. */

import { element } from '../show/dom.js';
import { moment, pauseWords } from './limits.js';

const DAYS = [1, 7, 30];

export class PauseChoice extends HTMLElement {
  #days = 0;
  #question = element('h2', { id: 'pause-question' });
  #note = element('p', { id: 'pause-note' });
  #yes = element('button', { value: 'pause', class: 'main-button' });
  #said = element('p', { class: 'said', role: 'status' });
  #dialog = element('dialog', { 'aria-labelledby': 'pause-question', 'aria-describedby': 'pause-note' },
    element('form', { method: 'dialog' }, this.#question, this.#note,
      element('div', { class: 'buttons' },
        element('button', { value: 'no', autofocus: true }, 'Do not pause'),
        this.#yes)));

  connectedCallback() {
    const buttons = DAYS.map((days) => {
      const button = element('button', { type: 'button', 'data-days': String(days) }, days === 1 ? '1 day' : `${days} days`);
      button.addEventListener('click', () => this.#ask(days));
      return button;
    });
    this.#dialog.addEventListener('close', () => {
      if (this.#dialog.returnValue === 'pause') this.dispatchEvent(new CustomEvent('pause', { detail: this.#days }));
    });
    this.append(element('div', { class: 'buttons' }, ...buttons), this.#said, this.#dialog);
  }

  paused(untilMs) { this.#say(untilMs ? `Paused until ${moment(untilMs)}.` : 'Paused.', 'good'); }
  refused(sentence) { this.#say(sentence, 'bad'); }

  #ask(days) {
    const { question, note, yes } = pauseWords(days, Date.now());
    this.#days = days;
    this.#question.textContent = question;
    this.#note.textContent = note;
    this.#yes.textContent = yes;
    this.#dialog.returnValue = '';
    this.#dialog.showModal();
  }

  #say(sentence, tone) {
    this.#said.className = `said ${tone}`;
    this.#said.textContent = sentence;
  }
}

customElements.define('pause-choice', PauseChoice);
