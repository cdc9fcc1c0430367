/**
 * One room's log as this client knows it, and the proof that nothing is missing. Pure.
 *
 * The server promises (protocol.md 1.2) that frames of events follow each other without a gap, and
 * that the coins in a frame explain exactly how the room's total moved. So a client that remembers
 * two numbers, the last seq and the total, can check everything it is told:
 *
 *     first        == our seq + 1
 *     total_before == our total
 *     total_coins  == total_before + Σ gift coins + omitted coins − Σ retraction coins
 *
 * A frame that fails the first line is a gap: ask again from our seq. A frame that fails one of the
 * others means that what viewers see is not what was booked: say so, and start from a new snapshot.
 */

/**
 * @typedef {object} Log
 * @property {string} epoch       which log this is; another epoch is another log
 * @property {number} seq         the last entry that we have
 * @property {number} totalCoins  the room's total after it
 * @property {number} verified    how many entries passed the check so far
 *
 * @typedef {object} Problem
 * @property {'not_a_number'|'total_before'|'total_coins'|'log_shrank'} what
 * @property {number} expected  what follows from what we knew
 * @property {number} got       what the server said
 * @property {number} first     the frame's range
 * @property {number} last
 */

/** A log that starts at a `joined` snapshot. `verified` carries on the count of an earlier snapshot. */
export function startLog(joined, verified = 0) {
  return { epoch: joined.epoch, seq: joined.seq, totalCoins: joined.total_coins, verified };
}

/** How many coins a frame adds to the room: gifts and what was left out, minus retractions. */
export function frameCoins(frame) {
  let coins = frame.omitted?.coins ?? 0;
  for (const event of frame.events) {
    if (event.kind === 'gift') coins += event.coins;
    else if (event.kind === 'gift_retracted') coins -= event.coins;
  }
  return coins;
}

/** What is wrong with a frame that follows directly on `log`, or null. @returns {Problem|null} */
export function wrongSum(log, frame) {
  const { first, last } = frame;
  const expected = frame.total_before + frameCoins(frame);
  // NaN or a fraction never gets as far as a comparison that happens to be false.
  if (!Number.isSafeInteger(expected) || !Number.isSafeInteger(frame.total_coins)) {
    return { what: 'not_a_number', expected, got: frame.total_coins, first, last };
  }
  if (frame.total_before !== log.totalCoins) {
    return { what: 'total_before', expected: log.totalCoins, got: frame.total_before, first, last };
  }
  if (frame.total_coins !== expected) {
    return { what: 'total_coins', expected, got: frame.total_coins, first, last };
  }
  return null;
}

/**
 * Read one `events` frame.
 *
 * - `next`: it follows on ours and adds up; the answer holds the log after it.
 * - `repeat`: we have had all of it; nothing to show.
 * - `gap`: entries are missing between ours and it (or it cuts into what we have, or it is of
 *   another epoch); nothing of it may be shown, resume from our seq.
 * - `mismatch`: it follows, but the sums do not add up; `problem` says which.
 *
 * @param {Log} log
 * @returns {{verdict: 'next'|'repeat'|'gap'|'mismatch', log: Log, problem?: Problem}}
 */
export function readFrame(log, frame) {
  if (frame.epoch !== log.epoch) return { verdict: 'gap', log };
  if (frame.last <= log.seq) return { verdict: 'repeat', log };
  // A frame that begins inside what we have cannot be split: merged entries have one seq for many.
  if (frame.first !== log.seq + 1) return { verdict: 'gap', log };
  const problem = wrongSum(log, frame);
  if (problem) return { verdict: 'mismatch', log, problem };
  const verified = log.verified + (frame.last - frame.first + 1);
  return { verdict: 'next', log: { ...log, seq: frame.last, totalCoins: frame.total_coins, verified } };
}
