/** The voices: list, preview, upload, delete. */

import { asFault } from "./faults.js";

const PREVIEW = "Hello, this is how I sound.";
const PREVIEW_MS = 30_000;
const UPLOAD_MS = 60_000;

/**
 * @typedef {object} Elements
 * @property {HTMLSelectElement} select
 * @property {HTMLButtonElement} preview
 * @property {HTMLButtonElement} remove
 * @property {HTMLElement} text
 * @property {HTMLFormElement} form
 * @property {HTMLElement} formText
 * @property {HTMLDetailsElement} add
 *
 * @typedef {{ name: string, type: string, alias_of?: string, created_at?: number }} Voice
 */

export class Voices {
  #elements;
  #server;
  #onChosen;
  /** @type {Voice[]} */
  #listed = [];
  /** @type {AudioContext | null} */
  #context = null;
  /** @type {AudioBufferSourceNode | null} */
  #playing = null;

  /**
   * @param {Elements} elements @param {() => import("./server.js").Server} server
   * @param {(name: string) => void} onChosen
   */
  constructor(elements, server, onChosen) {
    this.#elements = elements;
    this.#server = server;
    this.#onChosen = onChosen;
    elements.select.addEventListener("change", () => this.#choose(elements.select.value));
    elements.preview.addEventListener("click", () => this.#preview());
    elements.remove.addEventListener("click", () => this.#delete());
    elements.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#upload();
    });
  }

  /** The voice that was chosen; "": the server's choice. @returns {string} */
  get chosen() {
    return this.#elements.select.value;
  }

  /** Asks the server for its voices. @throws {import("./faults.js").Fault} */
  async load() {
    const response = await this.#server().request("/v1/audio/voices");
    this.#listed = (await response.json()).data;
    this.#fill(this.chosen);
  }

  /** @param {string} chosen */
  #fill(chosen) {
    /** @type {[string, (voice: Voice) => boolean][]} */
    const groups = [
      ["Voices of the server", ({ type, created_at }) => type !== "alias" && created_at === undefined],
      ["Uploaded", ({ created_at }) => created_at !== undefined],
      ["Other names for them", ({ type }) => type === "alias"],
    ];
    const parts = groups.map(([label, belongs]) => {
      const group = document.createElement("optgroup");
      group.label = label;
      group.append(...this.#listed.filter(belongs).map((voice) => new Option(titleOf(voice), voice.name)));
      return group;
    });
    const filled = parts.filter((group) => group.children.length > 0);
    this.#elements.select.replaceChildren(new Option("server’s choice", ""), ...filled);
    this.#elements.select.value = this.#listed.some(({ name }) => name === chosen) ? chosen : "";
    this.#offerDelete();
  }

  /** @param {string} name */
  #choose(name) {
    this.#elements.select.value = name;
    this.#elements.text.textContent = "";
    this.#offerDelete();
    if (name) {
      this.#onChosen(name);
    }
  }

  #offerDelete() {
    const voice = this.#listed.find(({ name }) => name === this.chosen);
    this.#elements.remove.hidden = voice?.created_at === undefined;
  }

  async #preview() {
    const { preview, text } = this.#elements;
    if (this.#playing) {
      this.#playing.stop();
      return;
    }
    const context = (this.#context ??= new AudioContext());
    preview.disabled = true;
    text.textContent = "";
    try {
      const body = { input: PREVIEW, response_format: "wav", ...(this.chosen && { voice: this.chosen }) };
      const headers = { "Content-Type": "application/json" };
      const init = { method: "POST", headers, body: JSON.stringify(body) };
      const response = await this.#server().request("/v1/audio/speech", init, PREVIEW_MS);
      this.#play(context, await context.decodeAudioData(await response.arrayBuffer()));
    } catch (error) {
      text.textContent = asFault(error).message;
    } finally {
      preview.disabled = false;
    }
  }

  /** @param {AudioContext} context @param {AudioBuffer} buffer */
  #play(context, buffer) {
    const { preview } = this.#elements;
    const playing = new AudioBufferSourceNode(context, { buffer });
    playing.connect(context.destination);
    playing.onended = () => {
      this.#playing = null;
      preview.textContent = "Preview";
    };
    preview.textContent = "Stop";
    playing.start();
    this.#playing = playing;
  }

  async #delete() {
    const { text, select } = this.#elements;
    const name = this.chosen;
    try {
      await this.#server().request(`/v1/audio/voices/${encodeURIComponent(name)}`, { method: "DELETE" });
      await this.load();
      text.textContent = `Voice ${name} is deleted.`;
      select.focus();
    } catch (error) {
      text.textContent = asFault(error).message;
    }
  }

  async #upload() {
    const { form, formText, add, text } = this.#elements;
    const body = new FormData(form);
    const button = /** @type {HTMLButtonElement} */ (form.querySelector("button"));
    button.disabled = true;
    formText.textContent = "";
    try {
      await this.#server().request("/v1/audio/voices", { method: "POST", body }, UPLOAD_MS);
      await this.load();
      this.#choose(String(body.get("name")));
      form.reset();
      add.open = false;
      text.textContent = "The voice is there; preview it.";
    } catch (error) {
      formText.textContent = asFault(error).message;
    } finally {
      button.disabled = false;
    }
  }
}

/** @param {Voice} voice @returns {string} */
function titleOf(voice) {
  return voice.type === "alias" && voice.alias_of ? `${voice.name} (${voice.alias_of})` : voice.name;
}
