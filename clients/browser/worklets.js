/** Audio on its own thread: `voiced-tap` makes 24 kHz PCM of what passes, `voiced-player` plays 24 kHz PCM. */

const RATE = 24_000;
const BLOCK = 480; // 20 ms
const ZEROS = 16; // zero crossings of the sinc on each side
const PHASES = 1024;
const PASS_BAND = 0.92;

/** Streaming conversion of sample rates by a windowed sinc. */
class Resampler {
  /** @param {number} from @param {number} to Hz */
  constructor(from, to) {
    this.step = from / to;
    const cutoff = Math.min(1, to / from) * PASS_BAND;
    this.half = Math.ceil(ZEROS / cutoff);
    this.taps = 2 * this.half;
    this.kernels = Array.from({ length: PHASES }, (_, phase) => this.#kernel(phase / PHASES, cutoff));
    this.held = new Float32Array(this.taps); // input not yet done with; begins as silence
    this.at = this.half; // where in it the next output lies
  }

  /** @param {number} fraction @param {number} cutoff */
  #kernel(fraction, cutoff) {
    const kernel = new Float32Array(this.taps);
    let sum = 0;
    for (let tap = 0; tap < this.taps; tap += 1) {
      const x = tap - (this.half - 1) - fraction;
      const sinc = x === 0 ? 1 : Math.sin(Math.PI * cutoff * x) / (Math.PI * cutoff * x);
      kernel[tap] = sinc * (0.5 + 0.5 * Math.cos((Math.PI * x) / (this.half + 1)));
      sum += kernel[tap];
    }
    return kernel.map((value) => value / sum);
  }

  /** @param {Float32Array} input @returns {number[]} */
  push(input) {
    const all = new Float32Array(this.held.length + input.length);
    all.set(this.held);
    all.set(input, this.held.length);
    /** @type {number[]} */
    const made = [];
    while (this.at + this.half < all.length) {
      const whole = Math.floor(this.at);
      const kernel = this.kernels[Math.floor((this.at - whole) * PHASES)];
      const first = whole - this.half + 1;
      let sum = 0;
      for (let tap = 0; tap < this.taps; tap += 1) {
        sum += all[first + tap] * kernel[tap];
      }
      made.push(sum);
      this.at += this.step;
    }
    const done = Math.max(0, Math.floor(this.at) - this.half);
    this.held = all.slice(done);
    this.at -= done;
    return made;
  }
}

/** Posts `{ pcm: Int16Array, at: seconds of the context }` for every 20 ms of its input, silence included. */
class Tap extends AudioWorkletProcessor {
  constructor() {
    super();
    this.resampler = new Resampler(sampleRate, RATE);
    this.silence = new Float32Array(128);
    this.block = new Int16Array(BLOCK);
    this.filled = 0;
    this.open = true;
    this.port.onmessage = () => (this.open = false);
  }

  /** @param {Float32Array[][]} inputs @returns {boolean} */
  process([input]) {
    for (const sample of this.resampler.push(input[0] ?? this.silence)) {
      this.block[this.filled] = Math.max(-1, Math.min(1, sample)) * 32_767;
      this.filled += 1;
      if (this.filled === BLOCK) {
        this.port.postMessage({ pcm: this.block, at: currentTime - BLOCK / RATE }, [this.block.buffer]);
        this.block = new Int16Array(BLOCK);
        this.filled = 0;
      }
    }
    return this.open;
  }
}

const START_SAMPLES = 1_440; // 60 ms: what one late packet may cost
const RESTART_SAMPLES = 4_800; // 200 ms after it ran dry
const MOST_SAMPLES = RATE * 300;
const FADE = 256; // frames of the context
const REPORT_QUANTA = 8;

/**
 * Plays items in order. In: `{ id, pcm }`, `{ end: id }` (no more of it comes), `{ clear: true }`, `{ close: true }`.
 * Out: `{ id, played, queued }` in samples of 24 kHz, `{ ended: id }`, `{ underrun: id }`.
 */
class Player extends AudioWorkletProcessor {
  resampler = new Resampler(RATE, sampleRate);
  /** @type {number[]} */
  ready = []; // frames of the context, not played yet
  read = 0;
  taken = 0; // samples of the item that went into `ready`
  wanted = START_SAMPLES;
  running = false;
  fading = 0;

  constructor() {
    super();
    /** @type {{ id: string, pcm: Int16Array, from: number }[]} */
    this.pieces = [];
    this.queued = 0;
    /** @type {Set<string>} */
    this.whole = new Set(); // items whose end is known
    /** @type {string | null} */
    this.id = null;
    this.open = true;
    this.quanta = 0;
    this.port.onmessage = ({ data }) => this.#take(data);
  }

  #rest() {
    this.resampler = new Resampler(RATE, sampleRate);
    this.ready = [];
    this.read = 0;
    this.taken = 0;
    this.wanted = START_SAMPLES;
    this.running = false;
    this.fading = 0;
  }

  /** @param {Record<string, any>} data */
  #take(data) {
    if (data.pcm) {
      if (this.queued + data.pcm.length <= MOST_SAMPLES) {
        this.pieces.push({ id: data.id, pcm: data.pcm, from: 0 });
        this.queued += data.pcm.length;
      }
    } else if (data.end) {
      this.whole.add(data.end);
    } else if (data.clear) {
      if (this.running && this.pieces.length > 0) {
        this.ready = this.ready.slice(this.read).concat(this.#some()); // enough to fade out on
        this.read = 0;
      }
      this.pieces = [];
      this.queued = 0;
      this.whole.clear();
      this.id = null;
      this.fading = this.running ? FADE : 0;
      this.running = this.fading > 0;
    } else if (data.close) {
      this.open = false;
    }
  }

  /** @param {unknown} _ @param {Float32Array[][]} outputs @returns {boolean} */
  process(_, [output]) {
    const out = output[0];
    if (!this.running && this.pieces.length > 0) {
      this.running = this.queued >= this.wanted || this.whole.has(this.pieces[0].id);
    }
    if (this.running) {
      this.#fill(out);
    }
    this.quanta += 1;
    if (this.id !== null && this.quanta % REPORT_QUANTA === 0) {
      this.port.postMessage({ id: this.id, played: this.#played(), queued: this.queued });
    }
    return this.open;
  }

  #played() {
    return Math.max(0, Math.round(this.taken - ((this.ready.length - this.read) * RATE) / sampleRate));
  }

  /** @param {Float32Array} out */
  #fill(out) {
    for (let frame = 0; frame < out.length; frame += 1) {
      if (this.read >= this.ready.length && !this.#more()) {
        return;
      }
      let value = this.ready[this.read];
      this.read += 1;
      if (this.fading > 0) {
        value *= this.fading / FADE;
        this.fading -= 1;
        if (this.fading === 0) {
          this.#rest();
          return;
        }
      }
      out[frame] = value;
    }
  }

  /** Makes more frames, across the end of an item where need be. False: there is nothing to play now. */
  #more() {
    this.ready = [];
    this.read = 0;
    while (this.ready.length === 0) {
      const piece = this.pieces[0];
      if (this.id !== null && piece?.id !== this.id && (piece || this.whole.has(this.id))) {
        this.port.postMessage({ ended: this.id });
        this.whole.delete(this.id);
        this.id = null;
      }
      if (!piece) {
        this.#dry();
        return false;
      }
      if (this.id === null) {
        this.id = piece.id;
        this.taken = 0;
      }
      this.ready = this.#some();
    }
    return true;
  }

  /** The next 10 ms of the queue, as frames of the context. */
  #some() {
    const piece = this.pieces[0];
    const some = piece.pcm.subarray(piece.from, piece.from + 240);
    piece.from += some.length;
    this.taken += some.length;
    this.queued -= some.length;
    if (piece.from >= piece.pcm.length) {
      this.pieces.shift();
    }
    return this.resampler.push(Float32Array.from(some, (sample) => sample / 32_768));
  }

  #dry() {
    const cutShort = this.id !== null;
    const { taken } = this;
    this.#rest();
    if (cutShort) {
      this.taken = taken;
      this.wanted = RESTART_SAMPLES;
      this.port.postMessage({ underrun: this.id });
    }
  }
}

registerProcessor("voiced-tap", Tap);
registerProcessor("voiced-player", Player);
