/**
 * The page about spending: what coins cost for whoever opens it, and for who comes with a token (the
 * viewer page's, see place.js) what they spent, their limits, pauses and their level.
 */

import { ask, ofUser, userOf } from '../api.js';
import { coinsAndPrice, pricesOf } from '../money.js';
import { element } from '../show/dom.js';
import { number } from '../show/words.js';
import { placeFromAddress } from '../viewer/place.js';
import './limit-form.js';
import './pause-choice.js';
import './spending-view.js';

const find = (selector) => document.querySelector(selector);
const parts = {
  own: find('#own'), trouble: find('#own-trouble'), spending: find('spending-view'), limits: find('limit-form'),
  pause: find('pause-choice'), hideLevel: find('#hide-level'), levelSaid: find('#level-said'),
};

async function open() {
  const { token } = placeFromAddress();
  const shop = await ask('GET', '/v1/bundles');
  showPrices(shop);
  if (!token) { find('#no-token').hidden = false; return; }
  const prices = pricesOf(shop.ok ? shop.body : null);
  const user = userOf(token);
  if (user === null) showTrouble('Your token cannot be read. Open this page again from your stream.');
  else await ownSpending({ token, user, prices });
}

function showPrices(shop) {
  const perCoin = find('#per-coin');
  if (!shop.ok) { perCoin.textContent = `The prices cannot be shown: ${shop.sentence}`; return; }
  const { bundles, minimum_coins: low, maximum_coins: high } = shop.body;
  const prices = pricesOf(shop.body);
  perCoin.className = '';
  perCoin.replaceChildren('One coin costs ', element('strong', {}, prices.of(1)), '.');
  find('.prices tbody').replaceChildren(...bundles.map((bundle) => bundleRow(bundle, prices)));
  find('.prices').hidden = bundles.length === 0;
  const exact = find('#exact-amount');
  exact.textContent = `You never have to buy a bundle: any amount from ${number(low)} coins (${prices.toBuy(low)}) `
    + `to ${number(high)} coins (${prices.toBuy(high)}) can be bought exactly.`;
  exact.hidden = false;
}

function bundleRow({ coins: amount, price_minor: minor, currency }, prices) {
  return element('tr', {}, element('th', { scope: 'row' }, number(amount)),
    element('td', {}, prices.written(minor, currency)), element('td', {}, prices.each(minor, amount, currency)));
}

// ---- one's own -------------------------------------------------------------------------------

async function ownSpending(me) {
  const wallet = await loadWallet(me);
  if (!wallet) return;
  parts.limits.show(wallet.limits, me.prices);
  parts.hideLevel.checked = wallet.level_hidden === true;
  parts.own.hidden = false;
  parts.limits.addEventListener('change-limits', ({ detail }) => changeLimits(me, detail));
  parts.pause.addEventListener('pause', ({ detail }) => pause(me, detail));
  parts.hideLevel.addEventListener('change', () => hideLevel(me));
  // Spent in another tab, or freed meanwhile: what is shown to someone who comes back is of now.
  document.addEventListener('visibilitychange', () => { if (!document.hidden) loadWallet(me); });
}

/** Shows what was spent; the form stays as it is, somebody may be writing in it. */
async function loadWallet({ token, user, prices }) {
  const answer = await ask('GET', ofUser(user, 'wallet'), { token });
  if (!answer.ok) { showTrouble(answer.sentence); return null; }
  parts.trouble.hidden = true;
  parts.spending.show(answer.body, (amount) => coinsAndPrice(prices, amount));
  return answer.body;
}

async function changeLimits(me, changes) {
  const answer = await ask('PUT', ofUser(me.user, 'limits'), { token: me.token, body: changes });
  if (!answer.ok) { parts.limits.refused(answer.sentence); return; }
  const wallet = await loadWallet(me);
  parts.limits.saved(changes, wallet?.limits ?? answer.body);
}

async function pause(me, days) {
  const answer = await ask('POST', ofUser(me.user, 'pause'), { token: me.token, body: { days } });
  if (!answer.ok) { parts.pause.refused(answer.sentence); return; }
  const wallet = await loadWallet(me);
  parts.pause.paused(wallet?.limits.paused_until_ms);
}

async function hideLevel({ token, user }) {
  const hidden = parts.hideLevel.checked;
  const answer = await ask('PUT', ofUser(user, 'level'), { token, body: { hidden } });
  if (!answer.ok) parts.hideLevel.checked = !hidden;
  parts.levelSaid.className = `said ${answer.ok ? 'good' : 'bad'}`;
  const done = hidden ? 'Your level is hidden from others.' : 'Others see your level.';
  parts.levelSaid.textContent = answer.ok ? done : answer.sentence;
}

function showTrouble(sentence) {
  parts.trouble.textContent = sentence;
  parts.trouble.hidden = false;
}

open();
addEventListener('hashchange', () => location.reload());
