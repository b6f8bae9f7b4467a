/** The browser's side of sound: microphone, speaker, meters, and taps that make 24 kHz PCM of both. */

import { Fault, microphoneFault } from "./faults.js";

const AUDIBLE = 0.004; // -48 dBFS
const WINDOW = 1024;
const RUNS_S = 0.1; // a context first counts a buffer or two that nothing takes from it
const LONGEST_OPENING_MS = 3_000; // it may never open: there need not be a device
const OPENING_POLL_MS = 10;

/**
 * The user's microphone. @param {string} [deviceId] absent: the system's choice @returns {Promise<MediaStream>}
 * @throws {Fault} with the fix
 */
export async function openMicrophone(deviceId) {
  if (!navigator.mediaDevices?.getUserMedia) {
    throw microphoneFault(null);
  }
  const audio = { channelCount: 1, echoCancellation: true, noiseSuppression: true, autoGainControl: true };
  try {
    return await navigator.mediaDevices.getUserMedia({
      audio: deviceId ? { ...audio, deviceId: { exact: deviceId } } : audio,
    });
  } catch (error) {
    throw microphoneFault(error);
  }
}

/** The context of the next `Sound`, where one was asked for ahead of it. @type {AudioContext | null} */
let early = null;

/** @typedef {"you" | "it"} Side */

/**
 * Begins to open the speaker, which takes a browser up to seconds the first time. Call it when the page is first
 * touched, and the call that follows need not wait. @returns {AudioContext}
 */
export function openSpeaker() {
  return (early ??= new AudioContext({ latencyHint: "interactive" }));
}

/** One party's level. */
class Meter {
  /** @param {AudioContext} context */
  constructor(context) {
    this.analyser = context.createAnalyser();
    this.analyser.fftSize = WINDOW;
    this.samples = new Float32Array(WINDOW);
    this.rate = context.sampleRate;
  }

  /** Root mean square and peak of the last 20 ms, 0 to 1. */
  level() {
    this.analyser.getFloatTimeDomainData(this.samples);
    let sum = 0;
    let peak = 0;
    for (const sample of this.samples) {
      sum += sample * sample;
      peak = Math.max(peak, Math.abs(sample));
    }
    return { rms: Math.sqrt(sum / WINDOW), peak };
  }

  /** How long ago the oldest audible sample of the last 20 ms passed, in ms; null: all is silent. */
  audibleForMs() {
    this.analyser.getFloatTimeDomainData(this.samples);
    const first = this.samples.findIndex((sample) => Math.abs(sample) > AUDIBLE);
    return first < 0 ? null : ((WINDOW - first) / this.rate) * 1000;
  }
}

/** One audio context with what both parties say running through it. */
export class Sound {
  /** @type {{ side: Side, tap: AudioWorkletNode }[]} */
  #taps = [];
  /** @type {{ side: Side, source: AudioNode }[]} */
  #sources = [];
  /** @type {HTMLAudioElement | null} */
  #element = null;
  #speaker = "";

  /**
   * @param {(side: Side, pcm: Int16Array, at: number) => void} onAudio 20 ms of 24 kHz PCM; `at` in seconds of
   *   performance.now(). Never called where worklets are missing (insecure pages).
   */
  constructor(onAudio) {
    this.onAudio = onAudio;
    /** @type {(pcm: Int16Array) => void} */
    this.onMicrophone = () => {};
    this.context = openSpeaker();
    early = null;
    this.meters = { you: new Meter(this.context), it: new Meter(this.context) };
    /** @type {MediaStream | null} */
    this.microphone = null;
  }

  /** Makes ready. Without worklets there is no 24 kHz PCM, only what WebRTC plays. */
  async start() {
    this.context.resume().catch(() => {}); // waits for a click where the page was not touched yet
    await this.context.audioWorklet?.addModule(new URL("./worklets.js", import.meta.url).href);
  }

  /**
   * Returns once the speaker takes sound, which is later than its context says: what came before would pile up and be
   * played too fast. Waits neither for long nor for a page that has to be touched first.
   *
   * @param {AbortSignal} signal ends the wait
   */
  async speakerOpens(signal) {
    const until = performance.now() + LONGEST_OPENING_MS;
    while (this.context.currentTime < RUNS_S && performance.now() < until && !this.#mustBeTouched && !signal.aborted) {
      await new Promise((resolve) => setTimeout(resolve, OPENING_POLL_MS));
    }
  }

  /** Whether PCM can be made and played. @returns {boolean} */
  get hasWorklets() {
    return this.context.audioWorklet !== undefined;
  }

  /** Takes over the user's microphone. @param {MediaStream} stream */
  attachMicrophone(stream) {
    this.microphone?.getTracks().forEach((track) => track.stop());
    this.#release("you");
    this.microphone = stream;
    this.#attach("you", this.context.createMediaStreamSource(stream));
  }

  /** Lets the speech that comes as a stream be heard. @param {MediaStream} stream */
  playStream(stream) {
    this.silence();
    this.#element = new Audio();
    this.#element.srcObject = stream;
    this.#element.play().catch(() => {}); // as above
    this.#applySpeaker();
    this.#attach("it", this.context.createMediaStreamSource(stream));
  }

  /** Lets the speech that comes as PCM be heard. @returns {AudioWorkletNode} its port: see worklets.js */
  playPcm() {
    this.silence();
    const player = new AudioWorkletNode(this.context, "voiced-player", { numberOfInputs: 0, outputChannelCount: [1] });
    player.connect(this.context.destination);
    this.#attach("it", player);
    return player;
  }

  /** Takes the other party's speech off. */
  silence() {
    this.#release("it");
    if (this.#element) {
      this.#element.srcObject = null;
      this.#element = null;
    }
  }

  /** Chooses where speech is heard. @param {string} deviceId "": the system's choice @throws {Fault} */
  async setSpeaker(deviceId) {
    this.#speaker = deviceId;
    await this.#applySpeaker();
  }

  /** What lies between played and heard. @returns {number} seconds */
  get outputLatencyS() {
    return this.context.outputLatency || this.context.baseLatency || 0;
  }

  close() {
    this.silence();
    this.#release("you");
    this.microphone?.getTracks().forEach((track) => track.stop());
    this.microphone = null;
    this.context.close().catch(() => {});
  }

  /** Whether the browser keeps the page silent until the user does something. */
  get #mustBeTouched() {
    return this.context.state === "suspended" && navigator.userActivation?.hasBeenActive === false;
  }

  async #applySpeaker() {
    try {
      await this.#element?.setSinkId?.(this.#speaker);
      await /** @type {{ setSinkId?: (id: string) => Promise<void> }} */ (this.context).setSinkId?.(this.#speaker);
    } catch {
      throw new Fault("speaker_missing", "This speaker cannot be used: choose another one.");
    }
  }

  /** @param {Side} side @param {AudioNode} source */
  #attach(side, source) {
    source.connect(this.meters[side].analyser);
    this.#sources.push({ side, source });
    if (!this.hasWorklets) {
      return;
    }
    const tap = new AudioWorkletNode(this.context, "voiced-tap", { outputChannelCount: [1] });
    tap.port.onmessage = ({ data }) => {
      const now = performance.now() / 1000;
      const late = Math.max(0, this.context.currentTime - data.at);
      this.onAudio(side, data.pcm, now - late);
      if (side === "you") {
        this.onMicrophone(data.pcm);
      }
    };
    source.connect(tap);
    tap.connect(this.context.destination); // silent; what leads nowhere is not run
    this.#taps.push({ side, tap });
  }

  /** @param {Side} side */
  #release(side) {
    for (const { source } of this.#sources.filter((entry) => entry.side === side)) {
      source.disconnect();
    }
    for (const { tap } of this.#taps.filter((entry) => entry.side === side)) {
      tap.port.onmessage = null;
      tap.port.postMessage("close");
      tap.disconnect();
    }
    this.#sources = this.#sources.filter((entry) => entry.side !== side);
    this.#taps = this.#taps.filter((entry) => entry.side !== side);
  }
}
