/**
 * A RealtimeSession of the OpenAI Agents SDK that speaks through voiced, and stops in mid-sentence.
 *
 *     node agents_realtime.mjs "The train leaves at nine." train.wav
 *     node agents_realtime.mjs "The train leaves at nine." train.wav 0.6
 *
 * Only the `url` given to `connect` differs from the hosted API. VOICE_SERVER and VOICE_KEY name another server than
 * this machine's.
 */
import { writeFile } from 'node:fs/promises';
import { pathToFileURL } from 'node:url';
import { RealtimeAgent, RealtimeSession } from '@openai/agents-realtime';
import { wav } from './wav.mjs';

const URL_ = process.env.VOICE_SERVER ?? 'http://127.0.0.1:8080';
const KEY = process.env.VOICE_KEY ?? 'none';

/** A connected session. Its agent's instructions describe the scene the speech is recorded in. */
export async function connect(url = URL_, key = KEY) {
  const agent = new RealtimeAgent({ name: 'voice', instructions: 'Audio is recorded from a quiet room.' });
  const session = new RealtimeSession(agent, {
    transport: 'websocket',
    model: 'voiced',
    config: { audio: { output: { voice: 'ada' } } },
  });
  await session.connect({ apiKey: key, url: `${url.replace('http', 'ws')}/v1/realtime` });
  return session;
}

/** Have `text` spoken; with `stopAfter`, `interrupt()` after that many seconds of listening. */
export function say(session, text, stopAfter) {
  return new Promise((resolve, reject) => {
    const chunks = [];
    let timer;
    const on = {
      audio: (event) => {
        chunks.push(Buffer.from(event.data)); // give it to your player here
        if (stopAfter !== undefined) timer ??= setTimeout(() => session.interrupt(), stopAfter * 1000);
      },
      agent_end: () => finish(() => resolve(Buffer.concat(chunks))),
      error: ({ error }) => finish(() => reject(error)),
    };
    const finish = (how) => {
      clearTimeout(timer);
      for (const [kind, listener] of Object.entries(on)) session.off(kind, listener);
      how();
    };
    for (const [kind, listener] of Object.entries(on)) session.on(kind, listener);
    session.sendMessage(text);
  });
}

/** The assistant's last words as the session's history holds them. */
export function remembered(session) {
  const last = session.history.findLast((item) => item.type === 'message' && item.role === 'assistant');
  return last.content.map((part) => part.transcript ?? '').join('');
}

async function main([text, output = 'speech.wav', stopAfter]) {
  const session = await connect();
  const pcm = await say(session, text, stopAfter && Number(stopAfter));
  console.log(remembered(session));
  session.close();
  await writeFile(output, wav(pcm));
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) await main(process.argv.slice(2));
