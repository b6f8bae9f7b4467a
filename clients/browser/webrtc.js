/** A call over WebRTC: Opus both ways, events on the channel `oai-events`. The server plays: it knows what was sent. */

import { Fault } from "./faults.js";

const CONNECT_MS = 5_000;
const GATHER_MS = 1_000;
const POST_MS = 10_000;
const HANG_UP_MS = 2_000;
const SILENT_MS = 1_500; // the server sends a packet every 20 ms, speech or not
const PROBE_MS = 3_000;
const LOST_MS = 6_000;
/** Answers that mean: there is no such endpoint here. */
const NOT_SERVED = new Set([404, 405, 501]);

/** WebRTC does not come about here, and something else may. */
export class NoWebRtc extends Error {}

/**
 * @param {import("./voiced.js").Line} line @returns {Promise<RtcWire>} once its data channel is open
 * @throws {NoWebRtc} where another transport should be tried
 * @throws {Fault} where no other would fare better
 */
export async function openWebRtc(line) {
  if (typeof RTCPeerConnection === "undefined") {
    throw new NoWebRtc("this browser has no WebRTC");
  }
  const peer = new RTCPeerConnection();
  // a microphone can come later: calls are not negotiated a second time
  const { sender } = peer.addTransceiver("audio", { direction: "sendrecv" });
  const channel = peer.createDataChannel("oai-events");
  const wire = new RtcWire(peer, channel, sender, line);
  try {
    await negotiate(peer, channel, wire, line);
    return wire;
  } catch (error) {
    wire.close();
    throw error;
  }
}

/**
 * @param {RTCPeerConnection} peer @param {RTCDataChannel} channel @param {RtcWire} wire
 * @param {import("./voiced.js").Line} line
 */
async function negotiate(peer, channel, wire, { server, signal }) {
  await peer.setLocalDescription();
  await gathered(peer);
  signal.throwIfAborted();
  const answer = await post(server, peer.localDescription?.sdp ?? "", signal);
  wire.callId = answer.callId;
  await peer.setRemoteDescription({ type: "answer", sdp: answer.sdp });
  await opened(peer, channel, signal);
}

/** @param {import("./server.js").Server} server @param {string} sdp @param {AbortSignal} signal */
async function post(server, sdp, signal) {
  const init = { method: "POST", headers: { "Content-Type": "application/sdp" }, body: sdp, signal };
  try {
    const response = await server.request(`/v1/realtime/calls?ticket=${server.ticket}`, init, POST_MS);
    const callId = (response.headers.get("location") ?? "").split("/").at(-1) ?? "";
    return { sdp: await response.text(), callId };
  } catch (error) {
    if (!(error instanceof Fault)) {
      throw error;
    }
    if (NOT_SERVED.has(error.status)) {
      throw new NoWebRtc("this server takes no WebRTC calls");
    }
    if (error.status === 400 || error.status === 415 || error.status === 500) {
      throw new NoWebRtc(`the server did not take the offer: ${error.message}`);
    }
    throw error;
  }
}

/**
 * All candidates are in the offer, or as many as came in time.
 *
 * @param {RTCPeerConnection} peer @returns {Promise<void>}
 */
function gathered(peer) {
  if (peer.iceGatheringState === "complete") {
    return Promise.resolve();
  }
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, GATHER_MS);
    peer.onicegatheringstatechange = () => {
      if (peer.iceGatheringState === "complete") {
        clearTimeout(timer);
        resolve();
      }
    };
  });
}

/**
 * @param {RTCPeerConnection} peer @param {RTCDataChannel} channel @param {AbortSignal} signal
 * @returns {Promise<void>} of its open channel
 */
function opened(peer, channel, signal) {
  return new Promise((resolve, reject) => {
    /** @param {() => void} done */
    const settle = (done) => {
      clearTimeout(timer);
      signal.removeEventListener("abort", onAbort);
      peer.removeEventListener("connectionstatechange", onState);
      done();
    };
    const reason = `no connection came about within ${CONNECT_MS / 1000} s (ICE)`;
    const timer = setTimeout(() => settle(() => reject(new NoWebRtc(reason))), CONNECT_MS);
    const onAbort = () => settle(() => reject(signal.reason));
    const onState = () => {
      if (peer.connectionState === "failed") {
        settle(() => reject(new NoWebRtc("the connection failed (ICE)")));
      }
    };
    signal.addEventListener("abort", onAbort);
    peer.addEventListener("connectionstatechange", onState);
    channel.addEventListener("open", () => settle(resolve), { once: true });
  });
}

/** As `Wire` says. */
class RtcWire {
  /** @type {"webrtc"} */
  transport = "webrtc";
  callId = "";
  #peer;
  #channel;
  #sender;
  #line;
  #closed = false;
  #before = { delay: 0, emitted: 0 };
  #speaking = false;
  #concealed = 0; // samples that were made up where speech was missing
  #underruns = 0;
  #received = { packets: 0, at: 0 };
  #probing = false;

  /**
   * @param {RTCPeerConnection} peer @param {RTCDataChannel} channel @param {RTCRtpSender} sender
   * @param {import("./voiced.js").Line} line
   */
  constructor(peer, channel, sender, line) {
    this.#peer = peer;
    this.#channel = channel;
    this.#sender = sender;
    this.#line = line;
    /** Has no effect: the track itself is sent, and falls silent when it is disabled. */
    this.sending = false;
    /** Seconds between a packet's arrival and its sound. */
    this.delayS = 0.06;
    peer.ontrack = ({ track, streams }) => line.sound.playStream(streams[0] ?? new MediaStream([track]));
    channel.onmessage = ({ data }) => this.#onMessage(JSON.parse(data));
    channel.onclose = () => this.#gone();
    peer.addEventListener("connectionstatechange", () => {
      if (peer.connectionState === "failed") {
        this.#gone();
      }
    });
  }

  /** @param {import("./voiced.js").ProtocolEvent} event */
  send(event) {
    if (this.#channel.readyState === "open") {
      this.#channel.send(JSON.stringify(event));
    }
  }

  /** Asks the server, which plays, to fall silent. @returns {null} it says itself what was heard */
  stopPlaying() {
    const event = { type: "output_audio_buffer.clear" };
    this.send(event);
    this.#line.onSent(event);
    return null;
  }

  /** @returns {Promise<import("./voiced.js").NetworkStats>} */
  async stats() {
    /** @type {import("./voiced.js").NetworkStats} */
    const found = { roundTripMs: null, bufferMs: null, packetLoss: null, underruns: this.#underruns };
    for (const entry of (await this.#peer.getStats()).values()) {
      if (entry.type === "candidate-pair" && entry.nominated && entry.currentRoundTripTime !== undefined) {
        found.roundTripMs = entry.currentRoundTripTime * 1000;
      } else if (entry.type === "inbound-rtp" && entry.kind === "audio") {
        this.#readInbound(entry, found);
      }
    }
    return found;
  }

  /** @param {import("./voiced.js").ProtocolEvent} event */
  #onMessage(event) {
    if (event.type.startsWith("output_audio_buffer.")) {
      this.#speaking = event.type === "output_audio_buffer.started";
    }
    this.#line.onEvent(event);
  }

  /** @param {import("./voiced.js").Json} entry @param {import("./voiced.js").NetworkStats} found */
  #readInbound(entry, found) {
    const emitted = (entry.jitterBufferEmittedCount ?? 0) - this.#before.emitted;
    if (emitted > 0) {
      this.delayS = ((entry.jitterBufferDelay ?? 0) - this.#before.delay) / emitted;
    }
    this.#before = { delay: entry.jitterBufferDelay ?? 0, emitted: entry.jitterBufferEmittedCount ?? 0 };
    found.bufferMs = Math.round(this.delayS * 1000);
    const expected = (entry.packetsReceived ?? 0) + (entry.packetsLost ?? 0);
    found.packetLoss = expected > 0 ? Math.max(0, entry.packetsLost ?? 0) / expected : 0;
    const audible = (entry.concealedSamples ?? 0) - (entry.silentConcealedSamples ?? 0);
    if (audible > this.#concealed && this.#speaking) {
      this.#underruns += 1;
      this.#line.onUnderrun();
    }
    this.#concealed = audible;
    found.underruns = this.#underruns;
    this.#checkAlive(entry.packetsReceived ?? 0);
  }

  /** Finds out soon that nobody is there any more: ICE says so after 17 s. @param {number} packets received so far */
  async #checkAlive(packets) {
    const now = performance.now();
    if (packets !== this.#received.packets) {
      this.#received = { packets, at: now };
      return;
    }
    const silentMs = packets > 0 ? now - this.#received.at : 0;
    if (silentMs < SILENT_MS || this.#probing) {
      return;
    }
    this.#probing = true;
    const probe = this.#line.server.request("/healthz", { cache: "no-store" }, PROBE_MS);
    const answers = await probe.then(() => true, () => false);
    this.#probing = false;
    if (packets === this.#received.packets && (!answers || silentMs > LOST_MS)) {
      this.#gone({ told: false });
    }
  }

  /** Sends this microphone from now on. @param {MediaStreamTrack} track */
  async useMicrophone(track) {
    await this.#sender.replaceTrack(track);
  }

  close() {
    this.#closed = true;
    this.#channel.onmessage = null;
    this.#peer.ontrack = null;
    this.#hangUp().finally(() => this.#peer.close());
  }

  /** Tells the server, while there is a call to tell it of: one that was closed here first is not found any more. */
  async #hangUp() {
    if (this.callId) {
      const path = `/v1/realtime/calls/${encodeURIComponent(this.callId)}/hangup`;
      const init = { method: "POST", keepalive: true };
      await this.#line.server.request(path, init, HANG_UP_MS).catch(() => {}); // gone is gone
    }
  }

  /** @param {{ told?: boolean }} [by] whether the server ended the call, and so knows */
  #gone({ told = true } = {}) {
    if (!this.#closed) {
      this.#closed = true;
      this.callId = told ? "" : this.callId;
      this.#line.onClosed();
    }
  }
}
