/** The one place where the page says what is wrong and what to do about it. */

/**
 * @typedef {object} Elements
 * @property {HTMLElement} box
 * @property {HTMLElement} text
 * @property {HTMLProgressElement} progress
 * @property {HTMLFormElement} keyForm
 * @property {HTMLInputElement} key
 * @property {HTMLButtonElement} action
 * @property {HTMLButtonElement} close
 */

export class Notice {
  #elements;
  #onKey;
  /** @type {(() => void) | null} */
  #action = null;
  /** @type {ReturnType<typeof setInterval> | undefined} */
  #countdown;
  /** What it is about; "" while it is hidden. */
  topic = "";

  /** @param {Elements} elements @param {(key: string) => void} onKey */
  constructor(elements, onKey) {
    this.#elements = elements;
    this.#onKey = onKey;
    elements.action.addEventListener("click", () => this.#action?.());
    elements.close.addEventListener("click", () => this.hide());
    elements.keyForm.addEventListener("submit", (event) => {
      event.preventDefault();
      const key = elements.key.value.trim();
      elements.key.value = "";
      this.hide();
      this.#onKey(key);
    });
  }

  /**
   * @param {string} topic by which it is hidden @param {string} text
   * @param {{ alarm?: boolean, key?: boolean, retryInS?: number | null, progress?: [number, number] | null,
   *   action?: [string, () => void] | null }} [more] `retryInS` is counted down behind the text
   */
  show(topic, text, { alarm = false, key = false, retryInS = null, progress = null, action = null } = {}) {
    const { box, progress: bar, keyForm, key: field, action: button, close } = this.#elements;
    this.topic = topic;
    box.hidden = false;
    box.dataset.tone = alarm ? "alarm" : "warn";
    bar.hidden = progress === null;
    if (progress) {
      [bar.value, bar.max] = progress;
    }
    const asksAnew = keyForm.hidden && key;
    keyForm.hidden = !key;
    button.hidden = action === null;
    close.hidden = progress !== null || retryInS !== null;
    this.#action = action?.[1] ?? null;
    button.textContent = action?.[0] ?? "";
    this.#say(text, retryInS);
    if (asksAnew) {
      field.focus();
    }
  }

  /** @param {string} [topic] only if it is about this */
  hide(topic = this.topic) {
    if (topic === this.topic) {
      clearInterval(this.#countdown);
      this.topic = "";
      this.#elements.box.hidden = true;
    }
  }

  /** @param {string} text @param {number | null} retryInS */
  #say(text, retryInS) {
    clearInterval(this.#countdown);
    /** @param {string} shown */
    const put = (shown) => {
      if (this.#elements.text.textContent !== shown) {
        this.#elements.text.textContent = shown;
      }
    };
    if (retryInS === null || retryInS < 2) {
      put(text);
      return;
    }
    let left = Math.ceil(retryInS);
    const tick = () => {
      put(left > 0 ? `${text} Trying again in ${left} s.` : `${text} Trying again…`);
      left -= 1;
    };
    tick();
    this.#countdown = setInterval(tick, 1_000);
  }
}
