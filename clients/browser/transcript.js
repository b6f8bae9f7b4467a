/** The conversation as a log: what you said, what the voice says, and how much of that was heard. */

const MOST_ENTRIES = 200;
const SETTLED_MS = 500; // where speech was cut is first guessed, then told by the server
const NEAR_END = 80; // pixels

/**
 * @typedef {object} Line of the log
 * @property {HTMLElement} entry
 * @property {HTMLElement} text
 * @property {HTMLElement} note
 * @property {string} key what it shows
 * @property {ReturnType<typeof setTimeout> | undefined} settling
 * @property {string} announced
 */

export class Transcript {
  #list;
  #empty;
  #announce;
  /** @type {Map<string, Line>} */
  #lines = new Map(); // by response or item
  #follows = true;

  /** @param {HTMLElement} list @param {HTMLElement} empty shown while it is @param {(text: string) => void} announce */
  constructor(list, empty, announce) {
    this.#list = list;
    this.#empty = empty;
    this.#announce = announce;
    list.addEventListener("scroll", () => (this.#follows = distanceToEnd(list) < NEAR_END));
    new ResizeObserver(() => this.#follow()).observe(list);
  }

  /** The server remembers nothing of the lines so far. */
  newSession() {
    const last = this.#list.lastElementChild;
    if (last !== null && last.className !== "note") {
      const entry = document.createElement("li");
      entry.className = "note";
      entry.textContent = "A new session: what was said before is not remembered.";
      this.#append(entry);
    }
  }

  /** @param {string} key @returns {boolean} */
  has(key) {
    return this.#lines.has(key);
  }

  /** What you typed or said. @param {string} key @param {string} text @param {string} [note] */
  you(key, text, note = "") {
    const line = this.#line(key, "you", "You");
    line.text.textContent = text;
    line.note.textContent = note;
    this.#follow();
  }

  /** What the voice says. @param {import("./speech.js").Speech} speech */
  speech(speech) {
    if (speech.text === "" && !this.#lines.has(speech.responseId)) {
      return;
    }
    const line = this.#line(speech.responseId, "it", "Voice");
    const states = ["spoken", "queued", "cut"];
    const runs = states.map((state) => speech.words.filter((word) => word.state === state).map((word) => word.text));
    const shown = runs.map((run) => run.join(""));
    const key = shown.join("|") + speech.status + speech.over;
    if (line.key === key) {
      return;
    }
    line.key = key;
    line.text.replaceChildren(...states.flatMap((state, index) => marked(state, shown[index])));
    line.note.textContent = noteOf(speech);
    if (speech.over) {
      const text = speech.cutS === null ? `Voice: ${speech.text}` : `Voice, interrupted: ${shown[0]}`;
      clearTimeout(line.settling);
      line.settling = setTimeout(() => this.#announceOnce(line, text), speech.cutS === null ? 0 : SETTLED_MS);
    }
    this.#follow();
  }

  /** @param {Line} line @param {string} text */
  #announceOnce(line, text) {
    if (line.announced !== text) {
      line.announced = text;
      this.#announce(text);
    }
  }

  /** @param {string} key @param {"you" | "it"} kind @param {string} who @returns {Line} */
  #line(key, kind, who) {
    const known = this.#lines.get(key);
    if (known) {
      return known;
    }
    const entry = document.createElement("li");
    const name = document.createElement("b");
    const body = document.createElement("div");
    const text = document.createElement("p");
    const note = document.createElement("small");
    entry.className = kind;
    entry.dataset.testid = `log-${kind}`;
    name.textContent = who;
    body.append(text, note);
    entry.append(name, body);
    const line = { entry, text, note, key: "", settling: undefined, announced: "" };
    this.#lines.set(key, line);
    this.#append(entry);
    return line;
  }

  /** @param {HTMLElement} entry */
  #append(entry) {
    this.#empty.hidden = true;
    this.#list.append(entry);
    while (this.#list.children.length > MOST_ENTRIES) {
      const [first] = this.#list.children;
      const keys = [...this.#lines].filter(([, line]) => line.entry === first).map(([key]) => key);
      keys.forEach((key) => this.#lines.delete(key));
      first.remove();
    }
    this.#follows = true;
    this.#follow();
  }

  /** Scrolls along, unless the reader went back. */
  #follow() {
    if (this.#follows) {
      this.#list.scrollTop = this.#list.scrollHeight;
    }
  }
}

/** @param {HTMLElement} list @returns {number} pixels */
function distanceToEnd({ scrollHeight, scrollTop, clientHeight }) {
  return scrollHeight - scrollTop - clientHeight;
}

/** @param {string} state @param {string} text @returns {HTMLElement[]} */
function marked(state, text) {
  if (text === "") {
    return [];
  }
  const run = document.createElement(state === "cut" ? "s" : "span");
  run.className = state;
  run.textContent = text;
  return [run];
}

/** @param {import("./speech.js").Speech} speech @returns {string} */
function noteOf(speech) {
  if (speech.cutS !== null && speech.status !== "failed") {
    return `cut after ${speech.cutS.toFixed(1)} s`;
  }
  if (speech.status === "incomplete") {
    return "stopped at its longest";
  }
  return speech.status === "failed" ? "failed" : "";
}
