/** What is being said: the responses, how far each was heard, and who waits for them. Does no I/O. */

import { Fault } from "./faults.js";
import { Speech } from "./speech.js";

const KEPT_SPEECHES = 50;

/**
 * @typedef {import("./voiced.js").Json} Json
 * @typedef {{ eventId: string, resolve: (speech: Speech) => void, reject: (fault: Fault) => void }} Promised
 */

export class Conversation {
  #onChange;
  /** @type {Map<string, Speech>} */
  #speeches = new Map(); // by response id, the newest
  /** @type {Promised[]} */
  #asking = []; // promises of what has no response yet, oldest first
  /** @type {Map<string, Promised>} */
  #waiting = new Map(); // response id -> the promise of it

  /** @param {(speech: Speech) => void} onChange its words, or how far it was heard */
  constructor(onChange) {
    this.#onChange = onChange;
    /** The response under way at the server; "": none. */
    this.active = "";
    /** The response that is heard; "": none. */
    this.playing = "";
  }

  /** Whether there is anything to interrupt. @returns {boolean} */
  get isBusy() {
    return this.active !== "" || this.playing !== "";
  }

  /** What an interruption cuts. @returns {Speech | undefined} */
  get current() {
    return [this.playing, this.active].map((id) => this.of(id)).find((speech) => speech?.audible);
  }

  /** @param {string} responseId @returns {Speech | undefined} */
  of(responseId) {
    return this.#speeches.get(responseId);
  }

  /** @param {string} itemId @returns {Speech | undefined} */
  ofItem(itemId) {
    return [...this.#speeches.values()].find((speech) => speech.itemId === itemId);
  }

  /** The next response is asked for. @param {string} eventId by which it is refused @returns {Promise<Speech>} */
  ask(eventId) {
    return new Promise((resolve, reject) => this.#asking.push({ eventId, resolve, reject }));
  }

  /** What was asked for is refused. @param {{ code?: string, message: string, event_id?: string }} error */
  refuse(error) {
    const refused = this.#asking.filter(({ eventId }) => eventId === error.event_id);
    this.#asking = this.#asking.filter((asked) => !refused.includes(asked));
    refused.forEach(({ reject }) => reject(new Fault(error.code ?? "refused", error.message)));
  }

  /** A response begins. @param {Json} response @returns {boolean} whether it is in the conversation */
  begin(response) {
    const speech = new Speech(response.id);
    this.#speeches.set(response.id, speech);
    if (this.#speeches.size > KEPT_SPEECHES) {
      this.#speeches.delete([...this.#speeches.keys()][0]);
    }
    this.#onChange(speech);
    if (response.conversation_id === null) {
      return false; // out of band: it is neither what was asked for nor what can be interrupted
    }
    this.active = response.id;
    const promised = this.#asking.shift();
    if (promised) {
      this.#waiting.set(response.id, promised);
    }
    return true;
  }

  /** More words of a response. @param {Json} event @param {boolean} audible whether they are spoken */
  add(event, audible) {
    const speech = this.of(event.response_id);
    if (speech) {
      speech.audible ||= audible;
      speech.add(event.delta, event.start_time, event.end_time);
      this.#onChange(speech);
    }
  }

  /** @param {Speech | undefined} speech @param {number} seconds of it that were heard so far */
  hear(speech, seconds) {
    if (speech && !speech.over) {
      this.playing = speech.responseId;
      if (speech.hear(seconds)) {
        this.#onChange(speech);
      }
    }
  }

  /** It was heard to its end. @param {Speech | undefined} speech */
  end(speech) {
    if (speech) {
      speech.finish();
      this.#leave(speech);
    }
  }

  /** The rest of it is not heard. @param {Speech | undefined} speech @param {number} seconds that were */
  cut(speech, seconds) {
    if (speech) {
      speech.cut(seconds);
      this.#leave(speech);
    }
  }

  /** The server has done its part; what is on its way is heard all the same. @param {Json} response */
  finish(response) {
    const { id, status } = response;
    const speech = this.of(id);
    if (this.active === id) {
      this.active = "";
    }
    if (!speech) {
      return;
    }
    speech.status = status;
    if (status === "failed") {
      const { code = "failed", message = "The response failed; try again." } = response.status_details?.error ?? {};
      this.#waiting.get(id)?.reject(new Fault(code, message));
      this.#waiting.delete(id);
    }
    const stopped = status === "failed" || status === "cancelled";
    if (!speech.over && !speech.audible) {
      this.end(speech);
    } else if (!speech.over && stopped && this.playing !== id) {
      this.cut(speech, speech.heardS);
    } else {
      this.#onChange(speech);
    }
  }

  /** The connection is gone: nothing more is heard. @param {Fault} fault for who waits */
  lose(fault) {
    for (const speech of this.#speeches.values()) {
      if (!speech.over) {
        speech.cut(speech.heardS);
        this.#onChange(speech);
      }
    }
    this.active = this.playing = "";
    for (const { reject } of [...this.#asking, ...this.#waiting.values()]) {
      reject(fault);
    }
    this.#asking = [];
    this.#waiting.clear();
  }

  /** @param {Speech} speech */
  #leave(speech) {
    if (this.playing === speech.responseId) {
      this.playing = "";
    }
    this.#waiting.get(speech.responseId)?.resolve(speech);
    this.#waiting.delete(speech.responseId);
    this.#onChange(speech);
  }
}
