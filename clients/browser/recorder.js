/** A stereo recording of the conversation: you on the left, the voice on the right. The last 30 minutes are kept. */

const RATE = 24_000;
const MOST_SECONDS = 30 * 60;
const SNAP = 0.1; // seconds: blocks that come a little early or late lie end to end
const SILENCE = new Uint8Array(RATE * 4);

export class Recorder {
  /** @type {(Int16Array<ArrayBuffer> | null)[]} */
  #seconds = []; // one interleaved Int16Array each; null where all is silent
  #first = 0; // the second that #seconds begins with
  /** @type {number | null} */
  #begun = null;
  #cursor = { you: 0, it: 0 };

  /** @param {"you" | "it"} side @param {Int16Array} pcm 24 kHz @param {number} at ms of performance.now() */
  write(side, pcm, at) {
    this.#begun ??= at;
    const wanted = Math.round(((at - this.#begun) / 1000) * RATE);
    const follows = Math.abs(wanted - this.#cursor[side]) < SNAP * RATE;
    let position = Math.max(0, follows ? this.#cursor[side] : wanted);
    this.#cursor[side] = position + pcm.length;
    const channel = side === "you" ? 0 : 1;
    for (const sample of pcm) {
      this.#put(position, channel, sample);
      position += 1;
    }
  }

  /** @returns {number} seconds that are kept */
  get seconds() {
    const end = Math.max(this.#cursor.you, this.#cursor.it) / RATE;
    return Math.max(0, end - this.#first);
  }

  /** @returns {Blob} a WAV file */
  wav() {
    const kept = this.#seconds.map((second) => second ?? SILENCE);
    return new Blob([header(kept.length * RATE * 4), ...kept], { type: "audio/wav" });
  }

  /** @param {number} position @param {0 | 1} channel @param {number} sample */
  #put(position, channel, sample) {
    const second = Math.floor(position / RATE) - this.#first;
    if (second < 0) {
      return;
    }
    while (second >= this.#seconds.length) {
      this.#seconds.push(null);
    }
    if (sample !== 0) {
      const kept = (this.#seconds[second] ??= new Int16Array(RATE * 2));
      kept[(position % RATE) * 2 + channel] = sample;
    }
    const surplus = this.#seconds.length - MOST_SECONDS;
    if (surplus > 0) {
      this.#seconds.splice(0, surplus);
      this.#first += surplus;
    }
  }
}

/** @param {number} bytes that follow @returns {DataView<ArrayBuffer>} */
function header(bytes) {
  const view = new DataView(new ArrayBuffer(44));
  /** @param {number} at @param {string} text */
  const word = (at, text) => [...text].forEach((letter, index) => view.setUint8(at + index, letter.charCodeAt(0)));
  word(0, "RIFF");
  view.setUint32(4, 36 + bytes, true);
  word(8, "WAVEfmt ");
  view.setUint32(16, 16, true);
  view.setUint16(20, 1, true); // PCM
  view.setUint16(22, 2, true);
  view.setUint32(24, RATE, true);
  view.setUint32(28, RATE * 4, true);
  view.setUint16(32, 4, true);
  view.setUint16(34, 16, true);
  word(36, "data");
  view.setUint32(40, bytes, true);
  return view;
}
