/** Getting connected and staying so: which transport, what to wait for, when to give up. */

import { Fault, asFault, serverGone } from "./faults.js";
import { NoWebRtc, openWebRtc } from "./webrtc.js";
import { openWebSocket } from "./websocket.js";

const HELLO_MS = 5_000;
const SHORT_LIFE_MS = 10_000;
const MOST_BACKOFF_S = 10;

/**
 * Keeps one wire to the server, and makes another when it breaks.
 *
 * @typedef {object} Hooks
 * @property {(wire: import("./voiced.js").Wire) => void} onOpen a session began on it
 * @property {() => void} onLost it broke; the next is being made
 * @property {(state: import("./voiced.js").State, detail?: Detail) => void} onState while there is none
 * @property {(fault: Fault) => void} onEnd there will be none
 *
 * @typedef {{ fault?: Fault | null, retryInS?: number | null, stage?: string }} Detail of a state
 */
export class Connection {
  #transport;
  #line;
  #hooks;
  /** @type {import("./voiced.js").Wire | null} */
  #wire = null;
  /** @type {(() => void) | null} */
  #welcome = null;
  #openedAt = 0;
  #shortLived = 0; // wires in a row that broke soon

  /**
   * @param {"auto" | "webrtc" | "websocket"} transport @param {Omit<import("./voiced.js").Line, "onClosed">} line
   *   its signal ends it
   * @param {Hooks} hooks
   */
  constructor(transport, line, hooks) {
    this.#transport = transport;
    this.#hooks = hooks;
    /** @param {import("./voiced.js").ProtocolEvent} event */
    const onEvent = (event) => {
      if (event.type === "session.created") {
        this.#welcome?.();
      }
      line.onEvent(event);
    };
    this.#line = { ...line, onEvent, onClosed: () => this.#onClosed() };
    /** Why it is not WebRTC, which is tried until it failed once. */
    this.reason = "";
  }

  /** Returns once there is a session. @throws {Fault} what waiting does not mend, or `closed` */
  async open() {
    await this.#connect("connecting");
  }

  /** Hangs up. The line's signal stops what is under way. */
  close() {
    this.#wire?.close();
    this.#wire = null;
  }

  /** @param {import("./voiced.js").State} first */
  async #connect(first) {
    let state = first;
    for (let tries = this.#shortLived; ; tries += 1) {
      try {
        await this.#attempt(state);
        return;
      } catch (error) {
        const fault = asFault(error);
        if (this.#line.signal.aborted || fault.retryAfterS === null) {
          throw fault;
        }
        const retryInS = fault.code === "server_gone" ? backoff(tries) : fault.retryAfterS;
        state = stateWhileWaiting(fault);
        this.#hooks.onState(state, { fault, retryInS, stage: fault.stage });
        await sleep(retryInS * 1000, this.#line.signal);
      }
    }
  }

  /** @param {import("./voiced.js").State} state */
  async #attempt(state) {
    const { server, signal } = this.#line;
    await server.ready(signal);
    this.#hooks.onState(state === "reconnecting" ? state : "connecting");
    /** @type {Promise<void>} */
    const welcomed = new Promise((resolve) => (this.#welcome = resolve));
    const wire = await this.#dial();
    try {
      await within(HELLO_MS, welcomed, serverGone());
      signal.throwIfAborted();
    } catch (error) {
      wire.close();
      throw error;
    }
    this.#wire = wire;
    this.#openedAt = performance.now();
    this.#hooks.onOpen(wire);
  }

  async #dial() {
    if (this.#transport === "websocket") {
      this.reason = "it was asked for";
    } else if (this.reason === "") {
      try {
        return await openWebRtc(this.#line);
      } catch (error) {
        if (!(error instanceof NoWebRtc)) {
          throw error;
        }
        if (this.#transport === "webrtc") {
          throw new Fault("no_webrtc", `WebRTC does not come about: ${error.message}. Try the WebSocket.`);
        }
        this.reason = error.message;
      }
    }
    return await openWebSocket(this.#line);
  }

  async #onClosed() {
    if (this.#wire === null) {
      return;
    }
    this.close();
    this.#shortLived = performance.now() - this.#openedAt < SHORT_LIFE_MS ? this.#shortLived + 1 : 0;
    this.#hooks.onLost();
    const fault = new Fault("server_gone", "The connection broke; a new one is being made.");
    const retryInS = backoff(this.#shortLived);
    this.#hooks.onState("reconnecting", { fault, retryInS });
    try {
      await sleep(retryInS * 1000, this.#line.signal);
      await this.#connect("reconnecting");
    } catch (error) {
      this.#hooks.onEnd(asFault(error));
    }
  }
}

/** @param {Fault} fault @returns {import("./voiced.js").State} */
function stateWhileWaiting(fault) {
  switch (fault.code) {
    case "engine_not_ready":
      return "loading";
    case "too_many_sessions":
      return "full";
    default:
      return "reconnecting";
  }
}

/** @param {number} tries before @returns {number} seconds */
function backoff(tries) {
  return Math.min(MOST_BACKOFF_S, 0.5 * 2 ** tries) * (0.8 + 0.4 * Math.random());
}

/** @param {number} ms @param {AbortSignal} signal @returns {Promise<void>} */
function sleep(ms, signal) {
  return new Promise((resolve, reject) => {
    signal.throwIfAborted();
    const onAbort = () => {
      clearTimeout(timer);
      reject(signal.reason);
    };
    const timer = setTimeout(() => {
      signal.removeEventListener("abort", onAbort);
      resolve();
    }, ms);
    signal.addEventListener("abort", onAbort, { once: true });
  });
}

/** @template T @param {number} ms @param {Promise<T>} promise @param {Fault} fault @returns {Promise<T>} */
function within(ms, promise, fault) {
  /** @type {ReturnType<typeof setTimeout>} */
  let timer;
  /** @type {Promise<never>} */
  const late = new Promise((_, reject) => (timer = setTimeout(() => reject(fault), ms)));
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}
