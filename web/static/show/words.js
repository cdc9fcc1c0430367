/** How amounts and gifts are said. Pure. */

const NUMBER = new Intl.NumberFormat('en');

/** The animation classes, smallest first; the catalogue and the events name them so. */
export const ANIMATIONS = ['tray', 'particles', 'side', 'centre', 'full', 'takeover'];

/** A class that this page knows; a gift with a newer one is still shown, as the smallest. */
export function knownAnimation(animation) {
  return ANIMATIONS.includes(animation) ? animation : 'tray';
}

export function number(value) {
  return NUMBER.format(value);
}

export function coins(amount) {
  return `${number(amount)} ${amount === 1 ? 'coin' : 'coins'}`;
}

/** Who gave: the name, or "Someone". */
export function giver(from) {
  return from.anonymous ? 'Someone' : from.name || from.id;
}

/** How many of the gift: the whole combo so far, or what this entry holds. */
export function countOf(event) {
  return event.combo?.count ?? event.quantity;
}

/** How many coins: the whole combo so far, or what this entry holds. */
export function coinsOf(event) {
  return event.combo?.coins ?? event.coins;
}
