/**
 * Put into a page before any of its own scripts: writes down what passes its data channels and sockets, and the sound
 * of what it plays, sample for sample. It changes nothing of it.
 */
(() => {
  const ears = { events: [], sent: [], tracks: { voice: [], worklets: [], microphone: [] }, peer: null };
  window.ears = ears;

  const note = (list, data) => typeof data === "string" && list.push({ at: performance.now(), event: JSON.parse(data) });

  const listen = async (name, track) => {
    const pieces = [];
    ears.tracks[name] = pieces; // a new call is a new track
    const reader = new MediaStreamTrackProcessor({ track, maxBufferSize: 1000 }).readable.getReader();
    for (;;) {
      const { done, value } = await reader.read();
      if (done) {
        return;
      }
      const pcm = new Float32Array(value.numberOfFrames);
      value.copyTo(pcm, { planeIndex: 0, format: "f32-planar" });
      pieces.push({ at: performance.now(), timestamp: value.timestamp / 1000, rate: value.sampleRate, pcm });
      value.close();
    }
  };

  /** One track as { rate, pieces: [[ms of performance.now at its arrival, its own clock in ms, frames]], pcm: base64 }. */
  ears.heard = (name) => {
    const pieces = ears.tracks[name];
    const pcm = new Float32Array(pieces.reduce((sum, piece) => sum + piece.pcm.length, 0));
    let at = 0;
    for (const piece of pieces) {
      pcm.set(piece.pcm, at);
      at += piece.pcm.length;
    }
    const bytes = new Uint8Array(pcm.buffer);
    let text = "";
    for (let from = 0; from < bytes.length; from += 0x8000) {
      text += String.fromCharCode(...bytes.subarray(from, from + 0x8000));
    }
    return {
      rate: pieces[0]?.rate ?? 48000,
      pieces: pieces.map((piece) => [piece.at, piece.timestamp, piece.pcm.length]),
      pcm: btoa(text),
    };
  };

  const { createDataChannel } = RTCPeerConnection.prototype;
  RTCPeerConnection.prototype.createDataChannel = function (...args) {
    const channel = createDataChannel.apply(this, args);
    ears.peer = this;
    this.addEventListener("track", ({ track }) => listen("voice", track));
    channel.addEventListener("message", ({ data }) => note(ears.events, data));
    const { send } = channel;
    channel.send = function (data) {
      note(ears.sent, data);
      send.call(channel, data);
    };
    return channel;
  };

  const Socket = window.WebSocket;
  window.WebSocket = class extends Socket {
    constructor(...args) {
      super(...args);
      this.addEventListener("message", ({ data }) => note(ears.events, data));
    }
    send(data) {
      note(ears.sent, data);
      super.send(data);
    }
  };

  const { getUserMedia } = MediaDevices.prototype;
  MediaDevices.prototype.getUserMedia = async function (...args) {
    const stream = await getUserMedia.apply(this, args);
    listen("microphone", stream.getAudioTracks()[0]);
    return stream;
  };

  // what worklets play: heard where it leaves for the loudspeaker
  const { connect } = AudioNode.prototype;
  AudioNode.prototype.connect = function (target, ...args) {
    if (target instanceof AudioDestinationNode) {
      target.context.overheard ??= (() => {
        const copy = target.context.createMediaStreamDestination();
        listen("worklets", copy.stream.getAudioTracks()[0]);
        return copy;
      })();
      connect.call(this, target.context.overheard);
    }
    return connect.call(this, target, ...args);
  };
})();
