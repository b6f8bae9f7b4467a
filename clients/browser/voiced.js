/**
 * A spoken conversation with a voiced server, for any page. Nothing here touches the document.
 *
 *     import { connect } from "./voiced.js";
 *     const call = await connect({ url: "https://voice.example", key: "ek_…", microphone: true });
 *     call.addEventListener("words", ({ detail: speech }) => show(speech.words));
 *     await call.say("Hello.");
 *     call.close();
 */

import { Connection } from "./connection.js";
import { Conversation } from "./conversation.js";
import { Fault, asFault } from "./faults.js";
import { Latency } from "./latency.js";
import { Server } from "./server.js";
import { Sound, openMicrophone, openSpeaker } from "./sound.js";
import { Speech } from "./speech.js";

export { Fault, Server, Speech, openSpeaker };

/**
 * @typedef {"offline" | "loading" | "connecting" | "connected" | "listening" | "speaking" | "interrupted" |
 *   "reconnecting" | "full"} State
 *
 * @typedef {object} Options
 * @property {string} [url] the server's origin; absent: the page's
 * @property {string} [key] an API key, or better a client secret
 * @property {boolean} [microphone] whether the user speaks; otherwise they only type and listen
 * @property {string} [microphoneId] which one
 * @property {string} [speakerId] where speech is heard, where the browser can choose
 * @property {string} [voice] a voice by name
 * @property {"auto" | "webrtc" | "websocket"} [transport] auto: WebRTC, and a WebSocket where that does not come about
 * @property {Json} [session] what else `session.update` should set
 *
 * @typedef {Record<string, any>} Json an object of the protocol; PROTOCOL.md says what is in it
 *
 * @typedef {{ type: string, [field: string]: any }} ProtocolEvent
 *
 * @typedef {object} NetworkStats
 * @property {number | null} roundTripMs
 * @property {number | null} bufferMs speech that is held and not played yet: jitter buffer, or the player's queue
 * @property {number | null} packetLoss 0 to 1; null where nothing gets lost
 * @property {number} underruns moments at which speech was missing
 *
 * @typedef {object} Line what a transport reports to
 * @property {Server} server
 * @property {Sound} sound
 * @property {AbortSignal} signal
 * @property {(event: ProtocolEvent) => void} onEvent
 * @property {(event: ProtocolEvent) => void} onSent
 * @property {(itemId: string, seconds: number) => void} onPlayed
 * @property {(itemId: string) => void} onEnded
 * @property {() => void} onUnderrun
 * @property {() => void} onClosed
 *
 * @typedef {object} Wire an open connection
 * @property {"webrtc" | "websocket"} transport
 * @property {string} callId "": there is none
 * @property {boolean} sending whether the microphone is sent
 * @property {number} delayS seconds between a packet's arrival and its sound; 0 where the page plays
 * @property {(event: ProtocolEvent) => void} send
 * @property {() => { itemId: string, heardS: number } | null} stopPlaying what was heard; null: the server says
 * @property {() => Promise<NetworkStats>} stats
 * @property {(track: MediaStreamTrack) => Promise<void>} useMicrophone
 * @property {() => void} close
 */

const TICK_MS = 50;
const STATS_MS = 500;
const SOUND_POLL_MS = 8;
const INTERRUPTED_MS = 1_500;
const SHORTEST_TURN_MS = 200;
const OPENING_SHOWS_MS = 300;
const FADES_MS = 40; // what was cut, until it can be heard and seen no more

/** Opens a call. @param {Options} [options] @returns {Promise<Call>} @throws {Fault} what waiting does not mend */
export async function connect(options = {}) {
  const call = new Call(options);
  await call.open();
  return call;
}

/**
 * One conversation. It mends itself while it can: it waits for an engine that loads and for a place, and comes back
 * (as a new session) when the server was away.
 *
 * Events, each with its `detail`: `state` {state, transport, reason, fault, retryInS, stage} · `busy` {busy} whether
 * there is anything to interrupt · `event` {direction, event, at} every message of the protocol · `words` a Speech whose
 * words or position changed · `levels` {you, it} as {rms, peak}; `you` is null without a microphone · `latency` a
 * summary · `stats` NetworkStats · `marker` {kind, at} · `audio` {side, pcm, at} 20 ms of 24 kHz PCM. `at` is in ms of
 * performance.now().
 */
export class Call extends EventTarget {
  #options;
  #server;
  /** @type {Sound | null} */
  #sound = null;
  /** @type {Connection | null} */
  #connection = null;
  /** @type {Wire | null} */
  #wire = null;
  #life = new AbortController();
  /** @type {ReturnType<typeof setTimeout>[]} */
  #timers = [];
  #said = new Conversation((speech) => this.#tell("words", speech));
  #asked = 0;
  #playingSince = 0; // where the server plays
  #restUntil = 0; // until then what is heard may be the rest of what was said before
  #interruptedUntil = 0;
  #latency = new Latency();
  #muted = false;
  #pushToTalk = false;
  #held = false;
  #heldSince = 0;
  /** @type {Json | null} */
  #turnDetection = null;
  #wasBusy = false;

  /** @param {Options} [options] */
  constructor(options = {}) {
    super();
    /** @type {Options & { transport: "auto" | "webrtc" | "websocket" }} */
    this.#options = { url: globalThis.location?.origin, key: "", microphone: false, transport: "auto", ...options };
    this.#server = new Server(this.#options.url ?? "", this.#options.key);
    /** @type {State} */
    this.state = "offline";
    /** @type {"webrtc" | "websocket" | ""} */
    this.transport = "";
    /** The session as the server shows it. @type {Json | null} */
    this.session = null;
    /** @type {Fault | null} */
    this.fault = null;
  }

  /** Whether the user can speak. @returns {boolean} */
  get hasMicrophone() {
    return this.#sound?.microphone != null;
  }

  /** Whether the server finds out when the user speaks; where it does not, they push to talk. @returns {boolean} */
  get detectsTurns() {
    return this.session?.voiced?.listening !== false && this.session?.audio?.input?.turn_detection != null;
  }

  /** Why it is not WebRTC. @returns {string} */
  get reason() {
    return this.#connection?.reason ?? "";
  }

  /** @returns {boolean} */
  get isOpen() {
    return this.#wire !== null;
  }

  /** Whether there is anything to interrupt: something is said, or a response is on its way. @returns {boolean} */
  get isBusy() {
    return this.isOpen && this.#said.isBusy;
  }

  /** Opens it; returns once it is. @throws {Fault} what waiting does not mend, or `closed` */
  async open() {
    try {
      this.#enter("connecting");
      const sound = new Sound((side, pcm, at) => this.#tell("audio", { side, pcm, at: at * 1000 }));
      this.#sound = sound;
      await sound.start();
      if (this.#options.speakerId) {
        await sound.setSpeaker(this.#options.speakerId);
      }
      if (this.#options.microphone) {
        await this.#openMicrophone();
      }
      await this.#openSpeaker(sound);
      this.#every(TICK_MS, () => this.#tick(sound));
      this.#every(SOUND_POLL_MS, () => this.#listenForSound(sound));
      this.#every(STATS_MS, () => this.#readStats());
      this.#connection = new Connection(this.#options.transport, this.#line(sound), {
        onOpen: (wire) => this.#onOpen(wire),
        onLost: () => this.#drop("The connection was lost before it was said; say it again."),
        onState: (state, detail) => this.#enter(state, detail),
        onEnd: (fault) => this.#end(fault),
      });
      await this.#connection.open();
    } catch (error) {
      throw this.#end(asFault(error));
    }
  }

  /** Sends any event of the protocol. @param {ProtocolEvent} event */
  send(event) {
    this.#wire?.send(event);
    this.#onSent(event);
  }

  /**
   * Says a text; what is being said is interrupted.
   *
   * @param {string} text @returns {Promise<Speech>} when it was heard to its end, or cut
   * @throws {Fault} where it could not be said
   */
  say(text) {
    if (!this.isOpen) {
      return Promise.reject(new Fault("not_connected", "There is no connection: connect first."));
    }
    this.interrupt();
    const eventId = `say_${(this.#asked += 1)}`;
    const said = this.#said.ask(eventId);
    const item = { type: "message", role: "user", content: [{ type: "input_text", text }] };
    this.send({ type: "conversation.item.create", event_id: eventId, item });
    this.#latency.request(performance.now());
    this.send({ type: "response.create", event_id: eventId });
    return said;
  }

  /** Falls silent, and tells the server what was heard. @returns {boolean} whether there was anything to interrupt */
  interrupt() {
    if (!this.isBusy) {
      return false;
    }
    if (this.#said.active) {
      this.send({ type: "response.cancel", response_id: this.#said.active });
    }
    this.#cutPlaying();
    this.#markInterrupted();
    return true;
  }

  /** @param {boolean} on whether the microphone is closed */
  mute(on) {
    this.#muted = on;
    this.#applySending();
  }

  /** @returns {boolean} */
  get muted() {
    return this.#muted;
  }

  /** Whether the user holds a key while they speak, instead of the server finding out. @param {boolean} on */
  pushToTalk(on) {
    if (this.#pushToTalk === on) {
      return;
    }
    this.#pushToTalk = on;
    this.#held = false;
    this.#update({ audio: { input: { turn_detection: on ? null : this.#turnDetection } } });
    this.#applySending();
  }

  /** With push-to-talk: the key goes down, or up and the turn is answered. @param {boolean} down */
  hold(down) {
    if (!this.#pushToTalk || this.#held === down || !this.isOpen) {
      return;
    }
    const now = performance.now();
    this.#held = down;
    if (down) {
      this.#heldSince = now;
      this.interrupt();
      this.send({ type: "input_audio_buffer.clear" });
      this.#marker("speech-start");
    } else {
      this.#marker("speech-stop");
    }
    if (!down && now - this.#heldSince >= SHORTEST_TURN_MS) {
      this.send({ type: "input_audio_buffer.commit" });
      this.#latency.request(now);
      this.send({ type: "response.create" });
    }
    this.#applySending();
  }

  /** @param {string} voice speaks from the next response on */
  setVoice(voice) {
    this.#options.voice = voice;
    this.#update({ audio: { output: { voice } } });
  }

  /** @param {string} deviceId @throws {Fault} */
  async setSpeaker(deviceId) {
    this.#options.speakerId = deviceId;
    await this.#sound?.setSpeaker(deviceId);
  }

  /** @param {string} deviceId @throws {Fault} */
  async setMicrophone(deviceId) {
    this.#options.microphoneId = deviceId;
    if (this.hasMicrophone) {
      await this.startMicrophone();
    }
  }

  /** From now on the user can speak in this open call. @throws {Fault} that they cannot; the call goes on */
  async startMicrophone() {
    await this.#openMicrophone();
    await this.#useMicrophone();
    this.#update(this.#wishedDetection());
    this.#settle(true);
  }

  /** Ends it. Nothing comes after it but the state `offline`. */
  close() {
    this.#end(null);
  }

  // --- connecting ---

  /** @param {Sound} sound */
  async #openSpeaker(sound) {
    const tell = () => this.#enter("connecting", { stage: "opening the speaker" });
    const telling = setTimeout(tell, OPENING_SHOWS_MS);
    this.#timers.push(telling);
    await sound.speakerOpens(this.#life.signal);
    clearTimeout(telling);
    this.#life.signal.throwIfAborted();
  }

  async #openMicrophone() {
    const stream = await openMicrophone(this.#options.microphoneId);
    if (this.#life.signal.aborted) {
      stream.getTracks().forEach((track) => track.stop());
      throw new Fault("closed", "The call was closed.");
    }
    this.#sound?.attachMicrophone(stream);
  }

  async #useMicrophone() {
    const [track] = this.#sound?.microphone?.getAudioTracks() ?? [];
    if (track) {
      this.#applySending(); // first: it may be muted
      await this.#wire?.useMicrophone(track);
    }
  }

  /** @param {Sound} sound @returns {Omit<Line, "onClosed">} */
  #line(sound) {
    return {
      server: this.#server,
      sound,
      signal: this.#life.signal,
      onEvent: (event) => this.#onEvent(event),
      onSent: (event) => this.#onSent(event),
      onPlayed: (itemId, seconds) => this.#said.hear(this.#said.ofItem(itemId), seconds),
      onEnded: (itemId) => this.#said.end(this.#said.ofItem(itemId)),
      onUnderrun: () => this.#marker("underrun"),
    };
  }

  /** @param {Wire} wire */
  #onOpen(wire) {
    this.#wire = wire;
    this.transport = wire.transport;
    this.#useMicrophone().catch(() => {}); // fails only where the wire is gone again
    this.#update(this.#wishes());
    this.#settle(true);
  }

  /** What the session should be like beyond what the server made it. */
  #wishes() {
    const { voice, session } = this.#options;
    const { input, output } = session?.audio ?? {};
    const listening = { ...this.#wishedDetection().audio?.input, ...this.#wishedWords(), ...input };
    const audio = {
      ...(Object.keys(listening).length > 0 && { input: listening }),
      ...((output || voice) && { output: { ...output, ...(voice && { voice }) } }),
    };
    return { ...session, ...(Object.keys(audio).length > 0 && { audio }) };
  }

  /** That the server finds out when the user speaks, unless they push to talk; nothing where it is so or was chosen. */
  #wishedDetection() {
    if (this.#turnDetection === null && this.hasMicrophone && this.session?.voiced?.listening) {
      this.#turnDetection = { type: "server_vad" };
    }
    const wished = this.#pushToTalk ? null : this.#turnDetection;
    const isSo = JSON.stringify(wished) === JSON.stringify(this.session?.audio?.input?.turn_detection ?? null);
    const isChosen = this.#options.session?.audio?.input?.turn_detection !== undefined;
    return isSo || isChosen ? {} : { audio: { input: { turn_detection: wished } } };
  }

  /** That the words of who speaks are told, where the server recognises them and it was not settled yet. */
  #wishedWords() {
    const isKnown = this.session?.voiced?.listening?.transcription === true;
    return isKnown && !this.session?.audio?.input?.transcription ? { transcription: { model: "whisper-1" } } : {};
  }

  /** Nothing comes from the server any more. @param {string} message for who waits */
  #drop(message) {
    this.#wire = null;
    this.transport = "";
    this.#sound?.silence();
    this.#said.lose(new Fault("connection_lost", message));
    this.#noteBusy();
  }

  /** The end of the call. @template {Fault | null} T @param {T} fault @returns {T} */
  #end(fault) {
    if (this.#life.signal.aborted) {
      return fault;
    }
    this.#life.abort();
    this.#connection?.close();
    this.#timers.forEach((timer) => clearInterval(timer));
    this.#drop("The call was closed before it was said.");
    this.#sound?.close();
    this.#enter("offline", { fault });
    return fault;
  }

  // --- what comes and goes ---

  /** @param {ProtocolEvent} event */
  #onSent(event) {
    this.#tell("event", { direction: "out", event, at: performance.now() });
  }

  /** @param {ProtocolEvent} event */
  #onEvent(event) {
    const now = performance.now();
    this.#tell("event", { direction: "in", event, at: now });
    const speech = this.#said.of(event.response_id);
    switch (event.type) {
      case "session.created":
        this.session = event.session;
        this.#turnDetection = event.session.audio?.input?.turn_detection ?? null;
        break;
      case "session.updated":
        this.session = event.session;
        this.#applySending();
        break;
      case "input_audio_buffer.speech_started":
        this.#marker("speech-start");
        this.#bargeIn();
        break;
      case "input_audio_buffer.speech_stopped":
        this.#marker("speech-stop");
        this.#latency.request(now);
        break;
      case "response.created":
        if (this.#said.begin(event.response)) {
          this.#interruptedUntil = 0;
          this.#latency.begin(event.response.id, now);
        }
        break;
      case "response.output_item.added":
        if (speech) {
          speech.itemId = event.item.id;
        }
        break;
      case "response.output_audio_transcript.delta":
        this.#latency.mark("words", event.response_id, now);
        this.#said.add(event, true);
        break;
      case "response.output_text.delta":
        this.#said.add(event, false);
        break;
      case "response.output_audio.delta":
        this.#latency.mark("output", event.response_id, now);
        break;
      case "output_audio_buffer.started":
        this.#latency.mark("output", event.response_id, now);
        this.#said.playing = event.response_id;
        this.#playingSince = now + (this.#wire?.delayS ?? 0) * 1000;
        break;
      case "output_audio_buffer.stopped":
        this.#fade();
        this.#said.end(speech);
        break;
      case "output_audio_buffer.cleared":
        this.#fade();
        this.#said.cut(speech, speech?.heardS ?? 0);
        break;
      case "conversation.item.truncated":
        this.#said.cut(this.#said.ofItem(event.item_id), event.audio_end_ms / 1000);
        break;
      case "response.done":
        this.#said.finish(event.response);
        break;
      case "error":
        this.#said.refuse(event.error);
        break;
    }
    this.#settle();
  }

  /** The server heard the user speak. Where the page plays, the page falls silent. */
  #bargeIn() {
    const detection = this.session?.audio?.input?.turn_detection;
    if (!this.#said.isBusy || detection?.interrupt_response === false) {
      return;
    }
    if (this.transport === "websocket") {
      this.#cutPlaying();
    }
    this.#markInterrupted();
  }

  #cutPlaying() {
    const heard = this.#wire?.stopPlaying() ?? null;
    this.#fade();
    const cut = this.#said.current;
    let heardS = cut?.heardS ?? 0;
    if (heard !== null && cut?.itemId) {
      heardS = heard.itemId === cut.itemId ? heard.heardS : 0;
      this.send({
        type: "conversation.item.truncate",
        item_id: cut.itemId,
        content_index: 0,
        audio_end_ms: Math.round(heardS * 1000),
      });
    }
    this.#said.cut(cut, heardS);
    this.#said.playing = "";
  }

  /** Nothing more of what was said is on its way here. */
  #fade() {
    this.#restUntil = performance.now() + (this.#wire?.delayS ?? 0) * 1000 + FADES_MS;
  }

  #markInterrupted() {
    this.#marker("interrupt");
    this.#interruptedUntil = performance.now() + INTERRUPTED_MS;
    this.#settle();
  }

  // --- as time goes by ---

  /** @param {Sound} sound */
  #tick(sound) {
    const { you, it } = sound.meters;
    this.#tell("levels", { you: this.hasMicrophone ? you.level() : null, it: it.level() });
    if (this.transport === "webrtc" && this.#said.playing) {
      const sinceS = Math.max(0, performance.now() - this.#playingSince) / 1000;
      this.#said.hear(this.#said.of(this.#said.playing), sinceS);
    }
    if (this.#wire) {
      this.#settle();
    }
  }

  /** @param {Sound} sound */
  #listenForSound(sound) {
    const responseId = this.#latency.awaited;
    if (responseId === null) {
      return;
    }
    const ago = sound.meters.it.audibleForMs();
    const at = performance.now() - (ago ?? 0);
    if (ago !== null && at > this.#restUntil && this.#latency.mark("sound", responseId, at)) {
      this.#marker("first-audio");
      this.#tell("latency", this.#latency.summary());
    }
  }

  async #readStats() {
    const wire = this.#wire;
    const stats = await wire?.stats().catch(() => null);
    if (stats && wire === this.#wire) {
      this.#tell("stats", stats);
    }
  }

  #applySending() {
    if (this.#wire) {
      // what is muted is sent as silence: the server must hear that a turn ends
      this.#wire.sending = this.hasMicrophone && (this.#pushToTalk ? this.#held : this.detectsTurns);
    }
    for (const track of this.#sound?.microphone?.getAudioTracks() ?? []) {
      track.enabled = !this.#muted && (!this.#pushToTalk || this.#held);
    }
  }

  /** @param {Json} session */
  #update(session) {
    if (this.isOpen && Object.keys(session).length > 0) {
      this.send({ type: "session.update", session });
    }
  }

  #settle(force = false) {
    if (!this.#wire || (!this.transport && !force)) {
      return;
    }
    /** @type {State} */
    let state = "connected";
    if (performance.now() < this.#interruptedUntil) {
      state = "interrupted";
    } else if (this.#said.playing) {
      state = "speaking";
    } else if (this.hasMicrophone && !this.#muted && (this.#pushToTalk ? this.#held : this.detectsTurns)) {
      state = "listening";
    }
    if (force || state !== this.state) {
      this.#enter(state);
    }
    this.#noteBusy();
  }

  #noteBusy() {
    const busy = this.isBusy;
    if (busy !== this.#wasBusy) {
      this.#wasBusy = busy;
      this.#tell("busy", { busy });
    }
  }

  /** @param {State} state @param {import("./connection.js").Detail} [detail] */
  #enter(state, { fault = null, retryInS = null, stage = "" } = {}) {
    this.state = state;
    this.fault = fault;
    const { transport, reason } = this;
    this.#tell("state", { state, transport, reason, fault, retryInS, stage });
  }

  /** @param {string} kind */
  #marker(kind) {
    this.#tell("marker", { kind, at: performance.now() });
  }

  /** @param {number} ms @param {() => void} action */
  #every(ms, action) {
    this.#timers.push(setInterval(action, ms));
  }

  /** @param {string} type @param {unknown} detail */
  #tell(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}
