/** What one response says, and how much of it was heard. Pure: times come in as arguments. */

const MOST_WORDS = 20_000;

/**
 * @typedef {object} Word
 * @property {string} text
 * @property {number} start seconds of the response's audio
 * @property {number} end
 * @property {"spoken" | "queued" | "cut"} state heard, still to come, or never to be heard
 */

export class Speech {
  /** @type {{ text: string, start: number, end: number }[]} */
  #words = [];
  #reached = 0; // words that were heard

  /** @param {string} responseId */
  constructor(responseId) {
    this.responseId = responseId;
    this.itemId = "";
    /** @type {"in_progress" | "completed" | "cancelled" | "incomplete" | "failed"} */
    this.status = "in_progress";
    this.heardS = 0;
    /** @type {number | null} where it was cut */
    this.cutS = null;
    /** Nothing more of it will be heard. */
    this.over = false;
    /** Whether it has sound at all, or is written only. */
    this.audible = false;
  }

  /** @param {string} text @param {number} [start] @param {number} [end] */
  add(text, start, end) {
    if (this.#words.length < MOST_WORDS) {
      const last = this.#words.at(-1);
      const begins = start ?? last?.end ?? 0;
      this.#words.push({ text, start: begins, end: end ?? begins });
    }
  }

  /** @param {number} seconds of its audio that were heard; never goes back @returns {boolean} whether a word was */
  hear(seconds) {
    const before = this.#reached;
    this.heardS = Math.max(this.heardS, seconds);
    while (this.#reached < this.#words.length && this.#words[this.#reached].start < this.heardS) {
      this.#reached += 1;
    }
    return this.#reached > before;
  }

  /** @param {number} seconds the rest is not heard */
  cut(seconds) {
    this.cutS = seconds;
    this.heardS = Math.min(this.heardS, seconds);
    this.over = true;
  }

  /** Everything was heard. */
  finish() {
    if (this.cutS === null) {
      this.heardS = Infinity;
    }
    this.over = true;
  }

  /** @returns {Word[]} */
  get words() {
    return this.#words.map((word) => ({ ...word, state: this.#stateOf(word) }));
  }

  /** @returns {string} */
  get text() {
    return this.#words.map((word) => word.text).join("").trim();
  }

  /** @param {{ start: number }} word @returns {Word["state"]} */
  #stateOf(word) {
    if (this.cutS !== null) {
      return word.start < this.cutS ? "spoken" : "cut";
    }
    return !this.audible || word.start < this.heardS ? "spoken" : "queued";
  }
}
