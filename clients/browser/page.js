/** The page: what is on the screen, put together around one `Call`. */

import { Devices } from "./devices.js";
import { Drawer } from "./drawer.js";
import { Fault, asFault } from "./faults.js";
import { Notice } from "./notice.js";
import { Numbers } from "./numbers.js";
import { Recorder } from "./recorder.js";
import { Timeline } from "./timeline.js";
import { Transcript } from "./transcript.js";
import { Call, Server, openSpeaker } from "./voiced.js";
import { Voices } from "./voices.js";

const KEY = "voiced.key";
const SETTLED_MS = 1_000; // a new session is as it was asked to be
const LOOK_AGAIN_MS = 1_000;
const UNANSWERED_MS = 2_500;
const WORDLESS = "You were heard, but nothing here turns speech into words yet: type what the voice should say.";
const WAITING = new Set(["loading", "connecting", "reconnecting", "full"]);
/** @type {Partial<Record<import("./voiced.js").State, string>>} */
const IN_WORDS = { offline: "not connected", loading: "loading the engine", full: "server full" };
const STAGES = ["starting", "language", "codec", "warm"]; // words in the engine's stages, in their order
/** What an interruption is told that comes as the response ends by itself: nothing to mend. */
const LATE = new Set(["response_cancel_not_active"]);
/** What a response is told while the engine is away, and at other times. */
const OF_THE_ENGINE = new Set(["engine_failed", "overloaded"]);

/** @param {string} id @returns {HTMLElement} */
const $ = (id) => /** @type {HTMLElement} */ (document.getElementById(id));
/** @param {string} id */
const button = (id) => /** @type {HTMLButtonElement} */ ($(id));
/** @param {string} id */
const field = (id) => /** @type {HTMLInputElement} */ ($(id));
/** @param {string} id */
const list = (id) => /** @type {HTMLSelectElement} */ ($(id));
/** @param {string} id */
const details = (id) => /** @type {HTMLDetailsElement} */ ($(id));
/** @param {string} id */
const form = (id) => /** @type {HTMLFormElement} */ ($(id));

/** @param {string} text */
const announce = (text) => ($("announce").textContent = text);
const timeline = new Timeline(/** @type {HTMLCanvasElement} */ ($("timeline")), $("timeline-text"));
const transcript = new Transcript($("log"), $("log-empty"), announce);
const numbers = new Numbers(document);
const recorder = new Recorder();
const drawer = new Drawer({
  drawer: details("drawer"),
  list: $("events-list"),
  count: $("events-count"),
  filter: field("events-filter"),
});
const notice = new Notice(
  {
    box: $("notice"),
    text: $("notice-text"),
    progress: /** @type {HTMLProgressElement} */ ($("notice-progress")),
    keyForm: form("key-form"),
    key: field("key"),
    action: button("notice-action"),
    close: button("notice-close"),
  },
  useKey,
);
const devices = new Devices(list("microphone"), list("speaker"), onDevice);
const voices = new Voices(
  {
    select: list("voice"),
    preview: button("voice-preview"),
    remove: button("voice-delete"),
    text: $("voice-text"),
    form: form("voice-form"),
    formText: $("voice-form-text"),
    add: details("voice-add"),
  },
  server,
  (name) => call?.setVoice(name),
);

/** @type {Call | null} */
let call = null;
let typed = 0;
let spokenFromMs = 0;
/** The words that are sure so far, by item. @type {Map<string, string>} */
const heardWords = new Map();
/** @type {Promise<boolean> | null} */
let looking = null;
/** @type {(() => void) | null} */
let resume = null; // what a key is asked for
/** @type {ReturnType<typeof setTimeout> | undefined} */
let unanswered; // the timer that tells so
let toldWordless = false;
let asksAloud = false; // rather than in writing

function key() {
  return sessionStorage.getItem(KEY) ?? "";
}

function server() {
  return new Server(location.origin, key());
}

// --- what runs ---

/** Looks until the engine is there; shows what it is, and the voices. @returns {Promise<boolean>} was it late? */
function look() {
  looking ??= lookUntilThere().finally(() => (looking = null));
  return looking;
}

async function lookUntilThere() {
  let [found, waited] = [false, false];
  while (!found) {
    try {
      showEngine((await server().ready()).engine);
      await voices.load();
      notice.hide("look");
      found = true;
      if (call === null) {
        showState({ state: "offline", fault: null });
      }
    } catch (error) {
      const fault = asFault(error);
      waited = true;
      if (call === null) {
        showState({ state: fault.code === "engine_not_ready" ? "loading" : "offline", fault, stage: fault.stage });
        complain("look", fault, {});
      } else {
        showAway(fault);
      }
      if (fault.retryAfterS === null) {
        break;
      }
      const waitMs = Math.max(LOOK_AGAIN_MS, fault.retryAfterS * 1000);
      await new Promise((resolve) => setTimeout(resolve, waitMs));
    }
  }
  return found && waited;
}

/** That it does not speak now. @param {Fault} fault */
function showAway(fault) {
  if (fault.code === "engine_not_ready" || fault.code === "server_gone") {
    $("engine-badge").textContent = fault.code === "server_gone" ? "server away" : "engine loading";
  }
}

/** @param {import("./server.js").Engine | undefined} engine */
function showEngine(engine) {
  const badge = $("engine-badge");
  if (!engine) {
    badge.textContent = "ready";
    return;
  }
  const kind = engine.kind === "noise" ? " (noise: untrained)" : "";
  badge.textContent = `${engine.checkpoint}${kind} · ${engine.device} · ${engine.decoder}`;
  badge.title = "Checkpoint, device and decoder that speak";
}

/** @param {string} value */
function useKey(value) {
  sessionStorage.setItem(KEY, value);
  const next = resume;
  resume = null;
  look();
  next?.();
}

// --- calls ---

/**
 * Opens a call.
 *
 * @param {boolean} microphone @param {() => void} [again] what is done once what was missing is there
 * @returns {Promise<boolean>} whether it is open
 */
async function open(microphone, again = () => open(microphone)) {
  call?.close();
  notice.hide("call");
  const wanted = new URLSearchParams(location.search).get("transport");
  const opened = new Call({
    url: location.origin,
    key: key(),
    microphone,
    microphoneId: devices.microphoneId,
    speakerId: devices.speakerId,
    voice: voices.chosen,
    transport: /** @type {import("./voiced.js").Options["transport"]} */ (wanted ?? "auto"),
  });
  call = opened;
  /** @param {string} type @param {(detail: any) => void} show */
  const on = (type, show) => {
    opened.addEventListener(type, (event) => opened === call && show(/** @type {CustomEvent} */ (event).detail));
  };
  on("state", onState);
  on("busy", showBusy);
  on("event", onEvent);
  on("words", (speech) => transcript.speech(speech));
  on("levels", (levels) => timeline.push(levels));
  on("marker", (marker) => timeline.mark(marker));
  on("audio", ({ side, pcm, at }) => recorder.write(side, pcm, at));
  on("latency", (summary) => numbers.showLatency(summary));
  on("stats", (stats) => numbers.showStats(stats, opened.transport));
  timeline.run(true);
  try {
    await opened.open();
  } catch (error) {
    return onRefused(opened, asFault(error), again);
  }
  opened.mute($("mute").getAttribute("aria-pressed") === "true");
  opened.pushToTalk(field("push-to-talk").checked);
  devices.refresh();
  setTimeout(adviseOnTurns, SETTLED_MS);
  return true;
}

function adviseOnTurns() {
  if (call?.isOpen && call.hasMicrophone && !call.detectsTurns && !field("push-to-talk").checked) {
    const text = "This server does not find out when you speak: switch on “Push to talk”, or type.";
    notice.show("turns", text, { action: ["Push to talk", () => $("push-to-talk").click()] });
  } else {
    notice.hide("turns");
  }
}

/**
 * @param {Call} opened @param {Fault} fault @param {() => void} again @returns {Promise<boolean>} whether a call is open
 */
async function onRefused(opened, fault, again) {
  if (opened !== call) {
    return false;
  }
  call = null;
  timeline.run(false);
  if (fault.ofMicrophone) {
    const isOpen = await open(false);
    complainOfMicrophone(fault);
    return isOpen;
  }
  showState({ state: "offline", fault });
  if (fault.code !== "closed") {
    complain("call", fault, { again });
  }
  return false;
}

/** Adds the microphone to the open call. */
async function startMicrophone() {
  const talking = call;
  try {
    await talking?.startMicrophone();
  } catch (error) {
    if (talking === call) {
      complainOfMicrophone(asFault(error));
    }
    return;
  }
  notice.hide("microphone");
  devices.refresh();
  setTimeout(adviseOnTurns, SETTLED_MS);
}

/** @param {Fault} fault */
function complainOfMicrophone(fault) {
  notice.show("microphone", `${fault.message} Until then, listen and type.`);
}

function hangUp() {
  const closing = call;
  call = null;
  closing?.close();
  timeline.run(false);
  notice.hide();
  showState({ state: "offline", fault: null });
}

/** Says what was typed. It stands there again where no call comes about, and is said once that is mended. */
async function sayTyped() {
  const typing = field("type-text");
  const text = typing.value;
  typing.value = "";
  const again = () => (typing.value.trim() ? sayTyped() : open(false));
  if (!(await say(text, again))) {
    typing.value ||= text;
  }
}

/**
 * Says a text, in a call made for it where there is none.
 *
 * @param {string} text @param {() => void} [again] as of `open` @returns {Promise<boolean>} whether there is a call
 */
async function say(text, again = () => say(text)) {
  if (!text.trim()) {
    return true;
  }
  if (!(call === null ? await open(false, again) : await becomesOpen(call))) {
    return false;
  }
  notice.hide("say");
  notice.hide("engine");
  asksAloud = false;
  typed += 1;
  transcript.you(`typed-${typed}`, text);
  try {
    await call?.say(text);
  } catch (error) {
    const fault = asFault(error);
    if (fault.code !== "closed") {
      complainOfResponse(fault.code, fault.message);
    }
  }
  return true;
}

/** Whether a call that is being made comes about. @param {Call} opening @returns {Promise<boolean>} */
function becomesOpen(opening) {
  return new Promise((resolve) => {
    const look = () => {
      if (opening.isOpen || opening.state === "offline") {
        opening.removeEventListener("state", look);
        resolve(opening.isOpen);
      }
    };
    opening.addEventListener("state", look);
    look();
  });
}

/**
 * @param {string} topic @param {Fault} fault
 * @param {{ again?: (() => void) | null, retryInS?: number | null, cancel?: (() => void) | null }} more
 */
function complain(topic, fault, { again = null, retryInS = null, cancel = null }) {
  const wantsKey = fault.status === 401;
  if (wantsKey) {
    const wrong = key() !== "";
    sessionStorage.removeItem(KEY);
    resume = again ?? resume;
    const text = wrong ? "The server does not know this key: enter another one." : fault.message;
    notice.show(topic, text, { key: true, alarm: wrong });
    return;
  }
  const stage = fault.stage ? ` Stage: ${fault.stage}.` : "";
  /** @type {[string, () => void] | null} */
  const action = cancel ? ["Cancel", cancel] : again ? ["Try again", again] : null;
  notice.show(topic, fault.message + stage, {
    alarm: cancel === null && fault.retryAfterS === null,
    retryInS,
    progress: fault.stage ? [stageIndex(fault.stage), STAGES.length] : null,
    action,
  });
}

/** @param {string} stage @returns {number} */
function stageIndex(stage) {
  return Math.max(0.5, STAGES.findLastIndex((word) => stage.includes(word)));
}

/** @param {Shown} detail */
function onState(detail) {
  const { state, fault, retryInS } = detail;
  if (WAITING.has(state) && fault) {
    complain("call", fault, { retryInS, cancel: hangUp });
    showAway(fault);
  } else if (!WAITING.has(state) && state !== "offline") {
    notice.hide("call");
    notice.hide("look");
  }
  showState(detail);
  if (state === "offline") {
    if (fault && fault.code !== "closed" && !fault.ofMicrophone && call?.session) {
      const { hasMicrophone } = call;
      call = null;
      complain("call", fault, { again: () => open(hasMicrophone) });
    }
  }
}

/** @param {import("./drawer.js").Entry} detail */
function onEvent(detail) {
  drawer.add(detail);
  const { direction, event } = detail;
  if (direction === "out") {
    return;
  }
  switch (event.type) {
    case "session.created":
      transcript.newSession();
      showEngine(event.session.voiced?.engine);
      break;
    case "input_audio_buffer.speech_started":
      spokenFromMs = event.audio_start_ms;
      break;
    case "input_audio_buffer.speech_stopped":
      transcript.you(event.item_id, `(spoken, ${((event.audio_end_ms - spokenFromMs) / 1000).toFixed(1)} s)`);
      break;
    case "input_audio_buffer.committed":
      asksAloud = true;
      if (!transcript.has(event.item_id)) {
        transcript.you(event.item_id, "(spoken)");
      }
      expectAnswer();
      break;
    case "conversation.item.input_audio_transcription.delta":
      clearTimeout(unanswered);
      heardWords.set(event.item_id, (heardWords.get(event.item_id) ?? "") + event.delta);
      transcript.you(event.item_id, heardWords.get(event.item_id) ?? "", "…");
      break;
    case "conversation.item.input_audio_transcription.completed":
      clearTimeout(unanswered);
      heardWords.delete(event.item_id);
      transcript.you(event.item_id, event.transcript);
      break;
    case "conversation.item.input_audio_transcription.failed":
      clearTimeout(unanswered);
      heardWords.delete(event.item_id);
      transcript.you(event.item_id, "(not understood)", event.error?.message ?? "");
      break;
    case "response.created":
      clearTimeout(unanswered);
      break;
    case "response.done":
      onDone(event.response);
      break;
    case "error":
      if (!LATE.has(event.error.code)) {
        complainOfResponse(event.error.code, event.error.message);
      }
      break;
  }
}

/** @param {import("./voiced.js").Json} response */
function onDone({ status, status_details: details }) {
  if (status === "failed") {
    complainOfResponse(details?.error?.code, details?.error?.message ?? "The response failed; try again.");
  }
}

/** @param {string | undefined} code @param {string} message */
function complainOfResponse(code, message) {
  clearTimeout(unanswered);
  if (OF_THE_ENGINE.has(code ?? "")) {
    notice.show("engine", message, { alarm: true });
    look().then((cameLate) => cameLate && notice.hide("engine"));
  } else {
    notice.show("say", code === "nothing_to_say" && asksAloud ? WORDLESS : message, { alarm: true });
  }
}

/** Who talks and is not answered is told why, once. */
function expectAnswer() {
  clearTimeout(unanswered);
  unanswered = setTimeout(() => {
    if (call?.isOpen && !toldWordless) {
      toldWordless = true;
      notice.show("say", WORDLESS);
    }
  }, UNANSWERED_MS);
}

// --- what the screen shows ---

/**
 * @typedef {object} Shown
 * @property {import("./voiced.js").State} state
 * @property {string} [stage]
 * @property {string} [reason]
 * @property {"webrtc" | "websocket" | ""} [transport]
 * @property {Fault | null} [fault]
 * @property {number | null} [retryInS]
 *
 * @param {Shown} shown
 */
function showState({ state, stage = "", reason = "", transport = "" }) {
  $("state").dataset.state = state;
  $("state-text").textContent = `${IN_WORDS[state] ?? state}${stage ? `: ${stage}` : ""}`;
  const isOpen = Boolean(call?.isOpen);
  const waits = call !== null && WAITING.has(state);
  const names = { webrtc: "WebRTC", websocket: "WebSocket", "": "" };
  const why = transport === "websocket" && reason ? `, because ${reason}` : "";
  $("transport").textContent = transport && isOpen ? `over ${names[transport]}${why}` : "";
  const talks = isOpen && Boolean(call?.hasMicrophone);
  const toldToWait = waits && notice.topic === "call"; // and given a button there to cancel that
  $("connect").textContent = waits && !toldToWait ? "Cancel" : talks ? "Hang up" : "Start microphone";
  button("connect").disabled = toldToWait;
  $("connect-text").hidden = waits || talks;
  button("mute").disabled = !talks;
  $("disconnect").hidden = !isOpen || talks;
  button("push").disabled = !talks;
  showBusy();
}

function showBusy() {
  button("interrupt").disabled = button("say-stop").disabled = !call?.isBusy;
}

/** @param {string} name */
function selectTab(name) {
  for (const tab of ["talk", "say"]) {
    const chosen = tab === name;
    $(`tab-${tab}`).setAttribute("aria-selected", String(chosen));
    $(`tab-${tab}`).tabIndex = chosen ? 0 : -1;
    $(`panel-${tab}`).hidden = !chosen;
  }
}

/** @param {"microphone" | "speaker"} kind @param {string} deviceId */
function onDevice(kind, deviceId) {
  const change = kind === "microphone" ? call?.setMicrophone(deviceId) : call?.setSpeaker(deviceId);
  change?.catch((error) => notice.show("device", asFault(error).message, { alarm: true }));
}

/** @param {Blob} blob @param {string} name */
function download(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

function stamp() {
  return new Date().toISOString().slice(0, 19).replaceAll(":", "-");
}

// --- hands ---

/** @param {boolean} down */
function hold(down) {
  call?.hold(down);
  $("push").dataset.held = String(down && Boolean(call?.isOpen));
}

/** Whether a key belongs to what has the focus. @param {EventTarget | null} target */
function takesKeys(target) {
  const takes = "input, textarea, select, button, summary, a";
  return target !== $("push") && target instanceof Element && target.closest(takes) !== null;
}

$("connect").addEventListener("click", () => {
  const talks = call?.isOpen && call.hasMicrophone;
  if (talks || (call !== null && WAITING.has(call.state))) {
    hangUp();
  } else if (call?.isOpen) {
    startMicrophone();
  } else {
    open(true);
  }
});
$("disconnect").addEventListener("click", hangUp);
$("mute").addEventListener("click", () => {
  const on = $("mute").getAttribute("aria-pressed") !== "true";
  $("mute").setAttribute("aria-pressed", String(on));
  call?.mute(on);
});
$("push-to-talk").addEventListener("change", () => {
  const on = field("push-to-talk").checked;
  $("push").hidden = !on;
  call?.pushToTalk(on);
  adviseOnTurns();
});
$("push").addEventListener("pointerdown", (event) => {
  $("push").setPointerCapture(event.pointerId);
  hold(true);
});
for (const type of ["pointerup", "pointercancel", "lostpointercapture"]) {
  $("push").addEventListener(type, () => hold(false));
}
$("interrupt").addEventListener("click", () => call?.interrupt());
$("say-stop").addEventListener("click", () => call?.interrupt());
$("type-form").addEventListener("submit", (event) => {
  event.preventDefault();
  sayTyped();
});
$("say-form").addEventListener("submit", (event) => {
  event.preventDefault();
  say(field("say-text").value);
});
$("say-text").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
    event.preventDefault();
    say(field("say-text").value);
  }
});
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") {
    call?.interrupt();
  } else if (event.code === "Space" && field("push-to-talk").checked && !takesKeys(event.target)) {
    event.preventDefault();
    if (!event.repeat) {
      hold(true);
    }
  }
});
document.addEventListener("keyup", (event) => {
  if (event.code === "Space" && $("push").dataset.held === "true") {
    event.preventDefault();
    hold(false);
  }
});
window.addEventListener("blur", () => hold(false));
window.addEventListener("pagehide", () => call?.close());

const untouched = new AbortController();
for (const type of ["pointerup", "keydown"]) {
  const touch = () => {
    if (navigator.userActivation?.hasBeenActive !== false) {
      untouched.abort();
      openSpeaker();
    }
  };
  window.addEventListener(type, touch, { capture: true, signal: untouched.signal });
}

for (const name of ["talk", "say"]) {
  const other = name === "talk" ? "say" : "talk";
  $(`tab-${name}`).addEventListener("click", () => selectTab(name));
  $(`tab-${name}`).addEventListener("keydown", (event) => {
    if (event.key === "ArrowLeft" || event.key === "ArrowRight") {
      selectTab(other);
      $(`tab-${other}`).focus();
    }
  });
}

$("latency-copy").addEventListener("click", async () => {
  const copied = await navigator.clipboard?.writeText(numbers.json()).then(
    () => true,
    () => false,
  );
  if (copied) {
    announce("Copied.");
    $("latency-copy").textContent = "Copied";
    setTimeout(() => ($("latency-copy").textContent = "Copy as JSON"), 1_500);
  } else {
    download(new Blob([numbers.json()], { type: "application/json" }), "latency.json");
  }
});
$("events-pause").addEventListener("click", () => {
  const on = $("events-pause").getAttribute("aria-pressed") !== "true";
  $("events-pause").setAttribute("aria-pressed", String(on));
  drawer.pause(on);
});
$("events-clear").addEventListener("click", () => drawer.clear());
$("events-export").addEventListener("click", () => download(drawer.export(), `voiced-events-${stamp()}.jsonl`));
$("record-download").addEventListener("click", () => download(recorder.wav(), `voiced-${stamp()}.wav`));
setInterval(() => {
  const seconds = Math.floor(recorder.seconds);
  if (seconds > 0) {
    $("record-text").textContent = `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")} min`;
    button("record-download").disabled = false;
  }
}, 1_000);

if (!window.isSecureContext) {
  const text = "This page is not secure, so there is no microphone: open it over https, or on localhost. ";
  notice.show("microphone", `${text}Until then, listen and type.`);
}
look();
devices.refresh();
