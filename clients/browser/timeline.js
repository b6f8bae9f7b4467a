/** Both levels of the last 20 seconds on one rolling canvas, with what happened. */

const SPAN_MS = 20_000;
const FLOOR_DB = -60;
const SPEAKS = 0.003; // rms from which a party counts as speaking
const MOST_COLUMNS = 1_000;
const MOST_MARKERS = 100;
const GUTTER = 44;

/** @type {Record<string, { lane: "you" | "it" | "both", color: string, sign: string }>} */
const MARKERS = {
  "speech-start": { lane: "you", color: "--you", sign: "▸" },
  "speech-stop": { lane: "you", color: "--you", sign: "◂" },
  "first-audio": { lane: "it", color: "--it", sign: "●" },
  interrupt: { lane: "both", color: "--alarm", sign: "✕" },
  underrun: { lane: "it", color: "--warn", sign: "!" },
};

/**
 * @typedef {{ rms: number, peak: number }} Level
 * @typedef {{ left: number, width: number, height: number, now: number }} Plot
 */

export class Timeline {
  /** @type {{ at: number, you: Level | null, it: Level | null }[]} */
  #columns = []; // oldest first; null: there is no microphone
  /** @type {{ kind: string, at: number }[]} */
  #markers = [];
  #canvas;
  #text;
  #pen;
  /** @type {Record<string, string>} */
  #colors = {};
  #frozen = performance.now();
  #running = false;

  /** @param {HTMLCanvasElement} canvas @param {HTMLElement} text its alternative in words */
  constructor(canvas, text) {
    this.#canvas = canvas;
    this.#pen = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
    this.#text = text;
    new ResizeObserver(() => this.#draw()).observe(canvas);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.#readColors());
    this.#readColors();
    setInterval(() => this.#running && this.#describe(), 1_000);
  }

  /** @param {{ you: Level | null, it: Level | null }} levels */
  push(levels) {
    this.#columns.push({ at: performance.now(), ...levels });
    this.#forget();
  }

  /** @param {{ kind: string, at: number }} marker */
  mark(marker) {
    this.#markers.push(marker);
    this.#forget();
    this.#describe();
  }

  /** It rolls while a call is open, and stands still after. @param {boolean} on */
  run(on) {
    this.#frozen = performance.now();
    if (on && !this.#running) {
      this.#running = true;
      requestAnimationFrame(() => this.#frame());
    }
    this.#running = on;
  }

  #frame() {
    this.#draw();
    if (this.#running) {
      requestAnimationFrame(() => this.#frame());
    }
  }

  #forget() {
    const oldest = performance.now() - SPAN_MS - 500;
    this.#columns = this.#columns.filter(({ at }) => at > oldest).slice(-MOST_COLUMNS);
    this.#markers = this.#markers.filter(({ at }) => at > oldest).slice(-MOST_MARKERS);
  }

  #readColors() {
    const style = getComputedStyle(document.documentElement);
    for (const name of ["--you", "--it", "--alarm", "--warn", "--line", "--soft"]) {
      this.#colors[name] = style.getPropertyValue(name).trim();
    }
    this.#draw();
  }

  #draw() {
    const { clientWidth: width, clientHeight: height } = this.#canvas;
    const scale = devicePixelRatio || 1;
    if (this.#canvas.width !== Math.round(width * scale) || this.#canvas.height !== Math.round(height * scale)) {
      this.#canvas.width = Math.round(width * scale);
      this.#canvas.height = Math.round(height * scale);
    }
    const pen = this.#pen;
    pen.setTransform(scale, 0, 0, scale, 0, 0);
    pen.clearRect(0, 0, width, height);
    const now = this.#running ? performance.now() : this.#frozen;
    const plot = { left: GUTTER, width: width - GUTTER, height: height - 20, now };
    const lane = plot.height / 2;
    this.#grid(pen, plot);
    this.#wave(pen, plot, "you", lane / 2, lane / 2 - 12);
    this.#wave(pen, plot, "it", lane * 1.5, lane / 2 - 12);
    this.#marks(pen, plot, lane);
    if (this.#columns.at(-1)?.you === null) {
      pen.fillStyle = this.#colors["--soft"];
      pen.textAlign = "left";
      pen.fillText("no microphone", plot.left + 12, lane / 2);
    }
  }

  /** @param {CanvasRenderingContext2D} pen @param {Plot} plot */
  #grid(pen, { left, width, height }) {
    pen.font = "12px system-ui, sans-serif";
    pen.textBaseline = "middle";
    pen.strokeStyle = pen.fillStyle = this.#colors["--line"];
    pen.lineWidth = 1;
    for (const y of [height / 2, height]) {
      line(pen, 0, Math.round(y) + 0.5, left + width, Math.round(y) + 0.5);
    }
    line(pen, left + 0.5, 0, left + 0.5, height);
    const step = width < 420 ? 10 : 5;
    for (let ago = step; ago < SPAN_MS / 1000; ago += step) {
      const x = Math.round(left + width * (1 - (ago * 1000) / SPAN_MS)) + 0.5;
      pen.fillStyle = this.#colors["--line"];
      line(pen, x, 0, x, height);
      pen.fillStyle = this.#colors["--soft"];
      pen.textAlign = "center";
      pen.fillText(`−${ago} s`, x, height + 11);
    }
    pen.fillStyle = this.#colors["--soft"];
    pen.textAlign = "right";
    pen.fillText("now", left + width - 6, height + 11);
    pen.textAlign = "left";
    pen.fillStyle = this.#colors["--you"];
    pen.fillText("you", 12, height / 4);
    pen.fillStyle = this.#colors["--it"];
    pen.fillText("voice", 8, height * 0.75);
  }

  /**
   * The peaks pale, the mean level full, mirrored about the middle of the lane.
   *
   * @param {CanvasRenderingContext2D} pen @param {Plot} plot @param {"you" | "it"} side @param {number} middle
   * @param {number} reach
   */
  #wave(pen, { left, width, now }, side, middle, reach) {
    const shown = this.#columns
      .map((column) => ({ level: column[side], x: left + width * (1 - (now - column.at) / SPAN_MS) }))
      .flatMap(({ level, x }) => (level === null || x <= left + 1 ? [] : [{ ...level, x }]));
    pen.fillStyle = this.#colors[`--${side}`];
    for (const [measure, alpha] of /** @type {const} */ ([["peak", 0.3], ["rms", 1]])) {
      /** @param {Level} column */
      const tall = (column) => Math.max(0.5, share(column[measure]) * reach);
      pen.globalAlpha = alpha;
      pen.beginPath();
      shown.forEach((column) => pen.lineTo(column.x, middle - tall(column)));
      shown.toReversed().forEach((column) => pen.lineTo(column.x, middle + tall(column)));
      pen.fill();
    }
    pen.globalAlpha = 1;
  }

  /** @param {CanvasRenderingContext2D} pen @param {Plot} plot @param {number} lane */
  #marks(pen, { left, width, height, now }, lane) {
    pen.lineWidth = 1.5;
    pen.textAlign = "center";
    for (const { kind, at } of this.#markers) {
      const { lane: where, color, sign } = MARKERS[kind];
      const x = left + width * (1 - (now - at) / SPAN_MS);
      if (x <= left + 4) {
        continue;
      }
      const top = where === "it" ? lane : 0;
      const bottom = where === "you" ? lane : height;
      pen.strokeStyle = pen.fillStyle = this.#colors[color];
      pen.fillText(sign, x, top + 8);
      line(pen, x, top + 15, x, bottom);
    }
  }

  #describe() {
    if (this.#columns.length === 0) {
      return;
    }
    const span = (this.#columns[this.#columns.length - 1].at - this.#columns[0].at) / 1000;
    /** @param {"you" | "it"} side */
    const spoken = (side) => {
      const loud = this.#columns.filter((column) => (column[side]?.rms ?? 0) > SPEAKS);
      const share = loud.length / this.#columns.length;
      return `${(share * span).toFixed(1)} s`;
    };
    const you = this.#columns.every((column) => column.you === null) ? "no microphone" : `you ${spoken("you")}`;
    /** @param {string} kind */
    const count = (kind) => this.#markers.filter((marker) => marker.kind === kind).length;
    const interrupted = plural(count("interrupt"), "interruption");
    const dry = plural(count("underrun"), "underrun");
    this.#text.textContent = `Last 20 s: ${you}, voice ${spoken("it")}, ${interrupted}, ${dry}.`;
  }
}

/** @param {number} rms @returns {number} 0 to 1 */
function share(rms) {
  return Math.max(0, Math.min(1, 1 - (20 * Math.log10(rms + 1e-9)) / FLOOR_DB));
}

/** @param {CanvasRenderingContext2D} pen @param {number} x1 @param {number} y1 @param {number} x2 @param {number} y2 */
function line(pen, x1, y1, x2, y2) {
  pen.beginPath();
  pen.moveTo(x1, y1);
  pen.lineTo(x2, y2);
  pen.stroke();
}

/** @param {number} count @param {string} word */
function plural(count, word) {
  return `${count} ${word}${count === 1 ? "" : "s"}`;
}
