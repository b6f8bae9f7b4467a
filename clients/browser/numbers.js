/** First audio and its parts, and how the network fares, as numbers. */

import { MOMENTS } from "./latency.js";

export class Numbers {
  #root;
  /** @type {import("./latency.js").Summary | null} */
  #latency = null;
  /** @type {import("./voiced.js").NetworkStats | null} */
  #stats = null;
  #transport = "";

  /** @param {Document} root */
  constructor(root) {
    this.#root = root;
  }

  /** @param {import("./latency.js").Summary} summary */
  showLatency(summary) {
    this.#latency = summary;
    const { last, p50, p95, count } = summary;
    if (last === null) {
      return;
    }
    this.#put("latency-total", String(last.sound));
    const bar = this.#find("#latency-bar");
    bar.classList.add("known");
    let before = 0;
    MOMENTS.forEach((moment, index) => {
      const part = Math.max(0, last[moment] - before);
      before = Math.max(before, last[moment]);
      this.#find(`[data-part="${moment}"]`).textContent = `${part} ms`;
      this.#find(`#latency-bar i:nth-child(${index + 1})`).style.flexGrow = String(Math.max(part, 1));
    });
    this.#put("latency-percentiles", `${p50} · ${p95} ms`);
    this.#put("latency-count", String(count));
  }

  /** @param {import("./voiced.js").NetworkStats} stats @param {string} transport */
  showStats(stats, transport) {
    this.#stats = stats;
    this.#transport = transport;
    /** @param {number | null} value */
    const ms = (value) => (value === null ? "–" : `${value < 10 ? value.toFixed(1) : Math.round(value)} ms`);
    this.#put("round-trip", ms(stats.roundTripMs));
    this.#put("buffer-name", transport === "websocket" ? "ready to play" : "jitter buffer");
    this.#put("buffer", ms(stats.bufferMs));
    this.#put("packet-loss", stats.packetLoss === null ? "none (TCP)" : `${(stats.packetLoss * 100).toFixed(1)} %`);
    this.#put("underruns", String(stats.underruns));
  }

  /** @returns {string} JSON */
  json() {
    const { last = null, p50 = null, p95 = null, count = 0 } = this.#latency ?? {};
    const firstAudio = { after_request_ms: last, p50_ms: p50, p95_ms: p95, count };
    const network = this.#stats && {
      transport: this.#transport,
      round_trip_ms: this.#stats.roundTripMs,
      buffer_ms: this.#stats.bufferMs,
      packet_loss: this.#stats.packetLoss,
      underruns: this.#stats.underruns,
    };
    return JSON.stringify({ first_audio: firstAudio, network }, null, 2);
  }

  /** @param {string} id @param {string} text */
  #put(id, text) {
    this.#find(`#${id}`).textContent = text;
  }

  /** @param {string} selector @returns {HTMLElement} */
  #find(selector) {
    return /** @type {HTMLElement} */ (this.#root.querySelector(selector));
  }
}
