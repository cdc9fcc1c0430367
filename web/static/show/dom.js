/**
 * Making elements. Everything a user wrote (names, messages) becomes a text node here and nowhere
 * markup: there is no innerHTML in these pages.
 */

/**
 * @param {string} tag
 * @param {Record<string, string|boolean>} [attributes] `true` sets an empty one, `false` leaves it out
 * @param {...(Node|string|null)} children strings become text; null is left out
 */
export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== false) made.setAttribute(name, value === true ? '' : value);
  }
  made.append(...children.filter((child) => child !== null));
  return made;
}

/** A person's name, isolated, so that right-to-left names do not turn the sentence around. */
export function personName(name) {
  return element('bdi', { class: 'person' }, name);
}

const SVG = 'http://www.w3.org/2000/svg';
const SHEET = '/static/show/gifts.svg';

const PARCEL = 'picture-gift';

/** The names in the sheet; null until it has come. */
let drawn = null;

/** A gift that the sheet does not draw gets the parcel. */
function pictureName(giftId) {
  const name = `picture-${giftId}`;
  return drawn === null || drawn.has(name) ? name : PARCEL;
}

/** The picture of a gift, coloured by its animation class. */
export function giftPicture(giftId, animation) {
  const svg = document.createElementNS(SVG, 'svg');
  svg.setAttribute('class', `gift-picture tier-${animation}`);
  svg.setAttribute('viewBox', '0 0 24 24');
  svg.setAttribute('aria-hidden', 'true');
  const use = document.createElementNS(SVG, 'use');
  use.setAttribute('href', `#${pictureName(giftId)}`);
  svg.append(use);
  return svg;
}

/**
 * Put the sheet of pictures into the page, once, when it opens. Pointing at the file from each
 * picture was the alternative: browsers then fetch it again whenever they feel like it, and a gift
 * that is shown while the server restarts has no picture.
 */
export async function loadPictures() {
  const answer = await fetch(SHEET).catch(() => null);
  if (!answer?.ok) return;
  const sheet = new DOMParser().parseFromString(await answer.text(), 'image/svg+xml').documentElement;
  sheet.setAttribute('class', 'visually-hidden');
  sheet.setAttribute('aria-hidden', 'true');
  document.body.append(document.importNode(sheet, true));
  drawn = new Set([...sheet.querySelectorAll('symbol')].map((symbol) => symbol.id));
  for (const use of document.querySelectorAll('.gift-picture use')) {
    if (!drawn.has(use.getAttribute('href').slice(1))) use.setAttribute('href', `#${PARCEL}`);
  }
}
