/** The picture of one gift being given: made once, then updated while its combo grows. */

import { element, giftPicture, personName } from './dom.js';
import { coins, giver, knownAnimation, number } from './words.js';

const PARTICLES = { particles: 12, side: 0, centre: 10, full: 22, takeover: 30 };

/**
 * @param {{event: object, count: number, coins: number}} act
 * @returns {HTMLElement} styled by show.css through its class `act-<animation>`
 */
export function buildAct(act) {
  const { event } = act;
  const animation = knownAnimation(event.animation);
  const figure = element('div', { class: `act act-${animation}`, 'data-key': act.key, 'data-slot': String(act.slot ?? 0) },
    element('div', { class: 'act-rays', 'aria-hidden': 'true' }),
    element('div', { class: 'act-picture' }, giftPicture(event.gift, animation)),
    element('div', { class: 'act-caption' },
      element('p', { class: 'act-who' }, personName(giver(event.from)), ' sent ', element('b', {}, event.name)),
      element('p', { class: 'act-worth' }, element('span', { class: 'act-count' }), element('span', { class: 'act-coins' })),
      element('p', { class: 'act-message' }, element('bdi'))));
  figure.append(particles(event.gift, animation));
  updateAct(figure, act);
  return figure;
}

/** The combo has grown (or the act is new): say how many and how much. */
export function updateAct(figure, { event, count, coins: amount }) {
  const countLabel = figure.querySelector('.act-count');
  const text = count > 1 ? `× ${number(count)}` : '';
  if (countLabel.textContent !== text) {
    countLabel.textContent = text;
    restart(countLabel, 'bump');
  }
  figure.querySelector('.act-coins').textContent = coins(amount);
  const message = figure.querySelector('.act-message');
  message.hidden = !event.message;
  message.firstChild.textContent = event.message ?? '';
}

/** Play a CSS animation again from its start. */
export function restart(target, className) {
  target.classList.remove(className);
  void target.offsetWidth; // reading the layout makes the removal count
  target.classList.add(className);
}

/** Small copies that fly; where to is chance and means nothing, so Math.random is fair here. */
function particles(giftId, animation) {
  const cloud = element('div', { class: 'act-cloud', 'aria-hidden': 'true' });
  for (let i = 0; i < (PARTICLES[animation] ?? 0); i++) {
    const particle = giftPicture(giftId, animation);
    particle.style.setProperty('--x', `${Math.round(Math.random() * 100)}%`);
    particle.style.setProperty('--drift', `${Math.round(Math.random() * 80 - 40)}px`);
    particle.style.setProperty('--delay', `${Math.round(Math.random() * 1_200)}ms`);
    particle.style.setProperty('--size', `${(0.7 + Math.random() * 0.9).toFixed(2)}`);
    cloud.append(particle);
  }
  return cloud;
}
