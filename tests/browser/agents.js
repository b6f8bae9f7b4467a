/** A page's own use of the Agents SDK: one session over WebRTC, as its documentation shows it. */
import { OpenAIRealtimeWebRTC, RealtimeAgent, RealtimeSession } from "/sdk/openai-realtime-agents.mjs";

const errors = [];
let session = null;

window.agents = {
  async connect(url, apiKey, useInsecureApiKey = false) {
    const transport = new OpenAIRealtimeWebRTC({ baseUrl: `${url}/v1/realtime/calls`, useInsecureApiKey });
    const agent = new RealtimeAgent({ name: "voice", instructions: "Audio is recorded from a quiet room." });
    session = new RealtimeSession(agent, { transport, model: "voiced" });
    session.on("error", ({ error }) => errors.push(error?.error ?? String(error)));
    const begun = performance.now();
    await session.connect({ apiKey });
    return { callId: transport.callId, status: transport.status, tookMs: performance.now() - begun };
  },
  say: (text) => session.sendMessage(text),
  interrupt: () => session.interrupt(),
  close: () => session.close(),
  errors: () => errors,
  history: () =>
    session.history.map(({ role, status, content }) => ({
      role,
      status,
      text: content.map((part) => part.text ?? part.transcript ?? "").join(""),
    })),
};
