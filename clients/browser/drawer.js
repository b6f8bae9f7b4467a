/** All events, both ways: the newest 2,000, filtered, paused, exported as JSON lines. Audio is counted, not kept. */

const MOST_EVENTS = 2_000;
const MOST_ROWS = 300; // that are drawn
const DRAW_MS = 250;
/** @type {Record<string, string>} */
const AUDIO = { "input_audio_buffer.append": "audio", "response.output_audio.delta": "delta" };

/** @typedef {{ direction: "in" | "out", event: import("./voiced.js").ProtocolEvent, at: number }} Entry */

export class Drawer {
  /** @type {Entry[]} */
  #entries = [];
  /** @type {Map<string, Entry>} */
  #open = new Map(); // audio type -> the entry that more of it is counted in
  #view;
  /** @type {Entry[] | null} */
  #paused = null; // the entries at the moment of pausing
  #dirty = true;

  /** @param {{ drawer: HTMLDetailsElement, list: HTMLElement, count: HTMLElement, filter: HTMLInputElement }} view */
  constructor(view) {
    this.#view = view;
    view.filter.addEventListener("input", () => this.#change());
    view.drawer.addEventListener("toggle", () => this.#change());
    setInterval(() => this.#draw(), DRAW_MS);
  }

  /** @param {Entry} detail */
  add({ direction, event, at }) {
    const field = AUDIO[event.type];
    const entry = { at: Math.round(at), direction, event: field ? withoutAudio(event, field) : event };
    const running = this.#open.get(event.type);
    if (running) {
      running.event.messages += 1;
      running.event.bytes += entry.event.bytes;
    } else {
      this.#entries.push(entry);
      this.#entries.splice(0, this.#entries.length - MOST_EVENTS);
    }
    if (field) {
      this.#open.set(event.type, running ?? entry);
    } else {
      this.#open.clear();
    }
    this.#dirty = true;
  }

  /** @param {boolean} on the list stands still; events are kept all the same */
  pause(on) {
    this.#paused = on ? [...this.#entries] : null;
    this.#change();
  }

  clear() {
    this.#entries = [];
    this.#open.clear();
    this.#paused = this.#paused && [];
    this.#change();
  }

  /** What is shown, one JSON object a line. @returns {Blob} */
  export() {
    const lines = this.#shown().map(({ at, direction, event }) => `${JSON.stringify({ at, direction, event })}\n`);
    return new Blob(lines, { type: "application/jsonl" });
  }

  #change() {
    this.#dirty = true;
    this.#draw();
  }

  #shown() {
    const wanted = this.#view.filter.value.trim().toLowerCase();
    const entries = this.#paused ?? this.#entries;
    return wanted ? entries.filter(({ event }) => JSON.stringify(event).toLowerCase().includes(wanted)) : entries;
  }

  #draw() {
    if (!this.#dirty) {
      return;
    }
    this.#dirty = false;
    this.#view.count.textContent = String(this.#entries.length);
    if (!this.#view.drawer.open) {
      return;
    }
    const { list } = this.#view;
    const atEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 40;
    list.replaceChildren(...this.#shown().slice(-MOST_ROWS).map(row));
    if (atEnd) {
      list.scrollTop = list.scrollHeight;
    }
  }
}

/** @param {import("./voiced.js").ProtocolEvent} event @param {string} field */
function withoutAudio(event, field) {
  const bytes = Math.floor((event[field].length * 3) / 4);
  return { ...event, [field]: "(left out)", messages: 1, bytes };
}

/** @param {Entry} entry */
function row({ at, direction, event }) {
  const { type, event_id: _, ...rest } = event;
  const entry = document.createElement("li");
  entry.className = type === "error" ? `${direction} error` : direction;
  const body = JSON.stringify(rest);
  const cells = [
    ["at", (at / 1000).toFixed(3)],
    ["way", direction === "out" ? "→" : "←"],
    ["type", type],
    ["body", body],
  ];
  for (const [name, text] of cells) {
    const cell = document.createElement("span");
    cell.className = name;
    cell.textContent = text;
    entry.append(cell);
  }
  entry.title = body.slice(0, 1_000);
  return entry;
}
