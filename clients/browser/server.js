/** The server's HTTP side: requests with the key on them, refusals as faults. */

import { Fault, asFault, faultOf, serverGone } from "./faults.js";

const DEADLINE_MS = 10_000;
const LOADING_RETRY_S = 1;

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
      throw await faultOf(response);
    }
    return response;
  }

  /**
   * What runs; `engine` is absent for who may not know.
   *
   * @param {AbortSignal} [signal] @returns {Promise<{ status: string, engine?: object }>}
   * @throws {Fault} `engine_not_ready` with its stage, while the engine loads
   */
  async ready(signal) {
    const response = await this.#fetch("/readyz", { signal });
    const body = await response.json().catch(() => ({}));
    if (response.ok) {
      return body;
    }
    if (response.status !== 503) {
      throw await faultOf(response);
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

  /** Why a WebSocket was refused, which browsers do not tell. @param {AbortSignal} signal @returns {Promise<Fault>} */
  async whyRefused(signal) {
    try {
      await this.ready(signal);
      await this.request("/v1/models", { signal });
    } catch (error) {
      const fault = asFault(error);
      if (fault.code !== "secret_not_allowed") {
        return fault;
      }
    }
    const message = "The server takes no further call; most likely all its places are in use.";
    return new Fault("too_many_sessions", message, { retryAfterS: 2, status: 503 });
  }

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
      throw serverGone();
    }
  }
}
