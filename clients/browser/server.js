/** The server's HTTP side: requests with the key on them, refusals as faults. */

import { Fault, asFault, faultOf, originRefused, serverGone } from "./faults.js";

const DEADLINE_MS = 10_000;
const LOADING_RETRY_S = 1;
const REFUSED_RETRY_S = 2;
/** Answers of a server that does not tell whether there is a place. */
const NOT_SERVED = new Set([404, 405]);

/** @typedef {{ kind: string, checkpoint: string, device: string, decoder: string }} Engine */

/** One server and the key that opens it. */
export class Server {
  /** @param {string} url its origin @param {string} [key] an API key or client secret */
  constructor(url, key = "") {
    this.url = new URL(url);
    this.key = key;
    /** Keeps this page's place in line before a full server. */
    this.ticket = Array.from(crypto.getRandomValues(new Uint32Array(4)), (part) => part.toString(36)).join("");
  }

  /** Where its WebSocket is. @returns {string} */
  get socketUrl() {
    const url = new URL(`/v1/realtime?ticket=${this.ticket}`, this.url);
    url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
    return url.href;
  }

  /**
   * An answer that is a success.
   *
   * @param {string} path @param {RequestInit} [init] @param {number} [deadlineMs]
   * @returns {Promise<Response>}
   * @throws {Fault} of the refusal, or that nobody answers
   */
  async request(path, init = {}, deadlineMs = DEADLINE_MS) {
    const response = await this.#fetch(path, init, deadlineMs);
    if (!response.ok) {
      throw await faultOf(response, this.key);
    }
    return response;
  }

  /**
   * What runs; `engine` is absent for who may not know.
   *
   * @param {AbortSignal} [signal] @returns {Promise<{ status: string, engine?: Engine }>}
   * @throws {Fault} `engine_not_ready` with its stage, while the engine loads
   */
  async ready(signal) {
    const response = await this.#fetch("/readyz", { signal });
    const body = await response.json().catch(() => ({}));
    if (response.ok) {
      return body;
    }
    if (response.status !== 503) {
      throw await faultOf(response, this.key);
    }
    const stage = body.status ?? "starting";
    const why = body.error ? `The engine does not start (${body.error}); its log says more.` : "The engine is loading.";
    throw new Fault("engine_not_ready", why, { retryAfterS: LOADING_RETRY_S, status: 503, stage });
  }

  /** How long one small request takes there and back, in ms. @returns {Promise<number>} */
  async roundTripMs() {
    const begun = performance.now();
    await this.request("/healthz", { cache: "no-store" });
    return performance.now() - begun;
  }

  /**
   * Why a WebSocket was refused, which browsers do not tell: asked with the same place in line.
   *
   * @param {AbortSignal} signal @returns {Promise<Fault>}
   */
  async whyRefused(signal) {
    try {
      await this.request(`/v1/realtime/place?ticket=${this.ticket}`, { signal });
    } catch (error) {
      const fault = asFault(error);
      if (!NOT_SERVED.has(fault.status)) {
        return fault;
      }
    }
    const message = "The server is there, but its WebSocket does not open; a proxy on the way may not let it through.";
    return new Fault("websocket_refused", message, { retryAfterS: REFUSED_RETRY_S });
  }

  /** @param {string} path @param {RequestInit} init */
  async #fetch(path, init, deadlineMs = DEADLINE_MS) {
    const headers = new Headers(init.headers);
    if (this.key) {
      headers.set("Authorization", `Bearer ${this.key}`);
    }
    const late = AbortSignal.timeout(deadlineMs);
    const signal = init.signal ? AbortSignal.any([init.signal, late]) : late;
    try {
      return await fetch(new URL(path, this.url), { ...init, headers, signal });
    } catch (error) {
      if (init.signal?.aborted) {
        throw error;
      }
      throw (await this.#keepsFromThisPage()) ? originRefused() : serverGone();
    }
  }

  /**
   * Whether it answers, but keeps that from pages of this origin, which browsers do not tell from silence.
   *
   * @returns {Promise<boolean>}
   */
  async #keepsFromThisPage() {
    if (this.url.origin === globalThis.location?.origin) {
      return false;
    }
    /** @param {RequestMode} mode */
    const answers = (mode) => {
      const init = { mode, signal: AbortSignal.timeout(DEADLINE_MS) };
      return fetch(new URL("/healthz", this.url), init).then(() => true, () => false);
    };
    return (await answers("no-cors")) && !(await answers("cors"));
  }
}
