/** A call over a WebSocket: events as JSON, 24 kHz PCM both ways. The page plays, so it knows what was heard. */

import { Fault, serverGone } from "./faults.js";

const OPEN_MS = 10_000;
const ROUND_TRIP_EVERY_MS = 5_000;
const MOST_UNSENT = 256 * 1024; // bytes: beyond it the network is too slow for more of the microphone

/** @param {Int16Array} pcm @returns {string} little-endian samples as base64 */
export function toBase64(pcm) {
  return btoa(String.fromCharCode(...new Uint8Array(pcm.buffer, pcm.byteOffset, pcm.byteLength)));
}

/** @param {string} text @returns {Int16Array} */
export function fromBase64(text) {
  const bytes = Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
  return new Int16Array(bytes.buffer, 0, bytes.length >> 1);
}

/**
 * @param {import("./voiced.js").Line} line @returns {Promise<SocketWire>} once the server let it in
 * @throws {Fault} with the reason where it did not
 */
export async function openWebSocket(line) {
  if (!line.sound.hasWorklets) {
    const message = "Sound over a WebSocket needs a secure page: open it over https, or on localhost.";
    throw new Fault("insecure_context", message);
  }
  const { server, signal } = line;
  const socket = dial(server);
  try {
    await opened(socket, signal);
  } catch (error) {
    socket.close();
    throw error === null ? await server.whyRefused(signal) : error;
  }
  return new SocketWire(socket, line);
}

/** @param {import("./server.js").Server} server */
function dial(server) {
  const key = server.key ? [`openai-insecure-api-key.${server.key}`] : [];
  try {
    return new WebSocket(server.socketUrl, ["realtime", ...key]);
  } catch {
    throw new Fault("invalid_api_key", "This key holds characters that no key has; enter it again.", { status: 401 });
  }
}

/**
 * Rejects with null where the server refused: it does not say why.
 *
 * @param {WebSocket} socket @param {AbortSignal} signal @returns {Promise<void>}
 */
function opened(socket, signal) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(serverGone()), OPEN_MS);
    /** @param {() => void} done */
    const settle = (done) => {
      clearTimeout(timer);
      signal.removeEventListener("abort", onAbort);
      socket.onopen = socket.onerror = null;
      done();
    };
    const onAbort = () => settle(() => reject(signal.reason));
    signal.addEventListener("abort", onAbort);
    socket.onopen = () => settle(resolve);
    socket.onerror = () => settle(() => reject(null));
  });
}

/** As `Wire` says. */
class SocketWire {
  /** @type {"websocket"} */
  transport = "websocket";
  callId = "";
  /** The page plays. */
  delayS = 0;
  #socket;
  #line;
  #player;
  #item = ""; // what the player plays
  #playedS = 0;
  #queuedS = 0;
  #underruns = 0;
  #asked = -Infinity;
  /** @type {number | null} */
  #roundTripMs = null;

  /** @param {WebSocket} socket @param {import("./voiced.js").Line} line */
  constructor(socket, line) {
    this.#socket = socket;
    this.#line = line;
    /** Whether the microphone is sent. */
    this.sending = false;
    this.#player = line.sound.playPcm();
    this.#player.port.onmessage = ({ data }) => this.#onPlayer(data);
    line.sound.onMicrophone = (pcm) => this.#append(pcm);
    socket.onmessage = ({ data }) => this.#onMessage(data);
    socket.onclose = () => line.onClosed();
  }

  /** @param {import("./voiced.js").ProtocolEvent} event */
  send(event) {
    if (this.#socket.readyState === WebSocket.OPEN) {
      this.#socket.send(JSON.stringify(event));
    }
  }

  /** Falls silent at once. @returns {{ itemId: string, heardS: number }} what was being said and how much was heard */
  stopPlaying() {
    const heard = { itemId: this.#item, heardS: this.#playedS };
    this.#player.port.postMessage({ clear: true });
    this.#item = "";
    this.#queuedS = 0;
    return heard;
  }

  /** @returns {Promise<import("./voiced.js").NetworkStats>} */
  async stats() {
    if (performance.now() - this.#asked > ROUND_TRIP_EVERY_MS) {
      this.#asked = performance.now();
      this.#roundTripMs = await this.#line.server.roundTripMs().catch(() => null);
    }
    return {
      roundTripMs: this.#roundTripMs,
      bufferMs: Math.round(this.#queuedS * 1000),
      packetLoss: null,
      underruns: this.#underruns,
    };
  }

  /** Nothing to do: the microphone's PCM is taken from the tap. */
  async useMicrophone() {}

  close() {
    this.#line.sound.onMicrophone = () => {};
    this.#socket.onmessage = this.#socket.onclose = null;
    this.#socket.close(1000);
    this.#player.port.postMessage({ close: true });
    this.#player.disconnect();
  }

  /** @param {Int16Array} pcm */
  #append(pcm) {
    if (this.sending && this.#socket.bufferedAmount < MOST_UNSENT) {
      const event = { type: "input_audio_buffer.append", audio: toBase64(pcm) };
      this.send(event);
      this.#line.onSent(event);
    }
  }

  /** @param {string} text */
  #onMessage(text) {
    const event = JSON.parse(text);
    if (event.type === "response.output_audio.delta") {
      const pcm = fromBase64(event.delta);
      this.#queuedS += pcm.length / 24_000;
      this.#player.port.postMessage({ id: event.item_id, pcm }, [pcm.buffer]);
    } else if (event.type === "response.output_audio.done") {
      this.#player.port.postMessage({ end: event.item_id });
    }
    this.#line.onEvent(event);
  }

  /** @param {import("./voiced.js").Json} data as worklets.js says */
  #onPlayer(data) {
    if (data.ended !== undefined) {
      this.#item = "";
      this.#queuedS = 0;
      this.#line.onEnded(data.ended);
    } else if (data.underrun !== undefined) {
      this.#underruns += 1;
      this.#line.onUnderrun();
    } else {
      this.#item = data.id;
      this.#playedS = Math.max(0, data.played / 24_000 - this.#line.sound.outputLatencyS);
      this.#queuedS = data.queued / 24_000;
      this.#line.onPlayed(data.id, this.#playedS);
    }
  }
}
