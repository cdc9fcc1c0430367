/** The way from wherever money is spoken of to limits and pauses. */

import { element } from '../show/dom.js';

export function safetyLink() {
  return element('a', { class: 'safety-link', href: '/safety' }, 'Spending safely');
}
