/** From a request to the first sound, in parts. Pure: `now` is in ms of performance.now(). */

const KEPT = 20;

/** The moments after a request, in their order. */
export const MOMENTS = ["created", "words", "output", "sound"];

/**
 * @typedef {{ responseId: string, asked: number, [moment: string]: any }} Turn each moment in ms after it was asked for
 * @typedef {{ last: Record<string, number> | null, p50: number | null, p95: number | null, count: number }} Summary
 */

export class Latency {
  /** @type {Turn[]} */
  #turns = []; // finished, newest last
  /** @type {number | null} */
  #asked = null;
  /** @type {Turn | null} */
  #turn = null;

  /** Something was asked for. @param {number} now */
  request(now) {
    this.#asked = now;
  }

  /** The response to it began. @param {string} responseId @param {number} now */
  begin(responseId, now) {
    this.#turn = this.#asked === null ? null : { responseId, asked: this.#asked, created: now - this.#asked };
    this.#asked = null;
  }

  /**
   * A moment of a response; only the first of its kind counts.
   *
   * @param {string} moment @param {string} responseId @param {number} now @returns {boolean} whether it did
   */
  mark(moment, responseId, now) {
    const turn = this.#turn;
    if (turn === null || turn.responseId !== responseId || turn[moment] !== undefined) {
      return false;
    }
    turn[moment] = now - turn.asked;
    if (moment === "sound") {
      this.#turns = [...this.#turns, turn].slice(-KEPT);
      this.#turn = null;
    }
    return true;
  }

  /** The response whose first sound is waited for; null: none. @returns {string | null} */
  get awaited() {
    return this.#turn === null || this.#turn.output === undefined ? null : this.#turn.responseId;
  }

  /** All in ms after the request, in the order of `MOMENTS`. @returns {Summary} */
  summary() {
    const totals = this.#turns.map((turn) => turn.sound).sort((a, b) => a - b);
    const last = this.#turns.at(-1);
    return {
      last: last ? Object.fromEntries(MOMENTS.map((moment) => [moment, Math.round(last[moment] ?? last.sound)])) : null,
      p50: percentile(totals, 0.5),
      p95: percentile(totals, 0.95),
      count: totals.length,
    };
  }
}

/** @param {number[]} sorted @param {number} share @returns {number | null} */
function percentile(sorted, share) {
  return sorted.length === 0 ? null : Math.round(sorted[Math.ceil(share * sorted.length) - 1]);
}
