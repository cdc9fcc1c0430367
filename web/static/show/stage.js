/** `<gift-stage>`: plays the program (program.js) on wall-clock timers. */

import { buildAct, updateAct } from './acts.js';
import { advance, cancelGift, emptyProgram, nextChangeMs, offer } from './program.js';

/** The leaving animation in show.css takes this long. */
const LEAVE_MS = 400;

export class GiftStage extends HTMLElement {
  #program = emptyProgram();
  #figures = new Map();
  #timer = 0;

  /** A gift was given. */
  give(event) {
    this.#turn(offer(this.#program, event, Date.now()));
  }

  /** A gift was hidden or taken back. */
  cancel(giftSeq) {
    this.#turn(cancelGift(this.#program, giftSeq));
  }

  disconnectedCallback() {
    clearTimeout(this.#timer);
  }

  #turn(program) {
    this.#program = advance(program, Date.now());
    this.#draw();
    clearTimeout(this.#timer);
    const changeMs = nextChangeMs(this.#program);
    if (changeMs === null) return;
    this.#timer = setTimeout(() => this.#turn(this.#program), Math.max(10, changeMs - Date.now()));
  }

  #draw() {
    const playing = new Map(this.#program.playing.map((act) => [act.key, act]));
    for (const [key, figure] of this.#figures) {
      if (playing.has(key)) continue;
      figure.classList.add('leaving');
      setTimeout(() => figure.remove(), LEAVE_MS);
      this.#figures.delete(key);
    }
    for (const [key, act] of playing) this.#drawAct(key, act);
  }

  #drawAct(key, act) {
    const known = this.#figures.get(key);
    if (known) return updateAct(known, act);
    const figure = buildAct(act);
    this.#figures.set(key, figure);
    return this.append(figure);
  }
}

customElements.define('gift-stage', GiftStage);
