/**
 * Speak over the Realtime socket with openai-node, and stop in mid-sentence.
 *
 *     node openai_realtime.mjs "The train leaves at nine." train.wav
 *     node openai_realtime.mjs "The train leaves at nine." train.wav 0.6
 *
 * Only `baseURL` differs from the hosted API. openai-node speaks TLS alone (`wss:`, whatever `baseURL` says): give
 * voiced a certificate, or put it behind a proxy that has one. VOICE_SERVER and VOICE_KEY name the server.
 */
import { writeFile } from 'node:fs/promises';
import { once } from 'node:events';
import { pathToFileURL } from 'node:url';
import OpenAI from 'openai';
import { OpenAIRealtimeWS } from 'openai/realtime/ws';
import { wav } from './wav.mjs';

const URL_ = process.env.VOICE_SERVER ?? 'https://127.0.0.1:8080';
const KEY = process.env.VOICE_KEY ?? 'none';

/** An open socket; listen to its events before asking for anything. */
export async function connect(url = URL_, key = KEY) {
  const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: key });
  const realtime = new OpenAIRealtimeWS({ model: 'voiced' }, client);
  await once(realtime.socket, 'open');
  return realtime;
}

/** Have `text` spoken; with `stopAfter`, only that many seconds of it are played. */
export function say(realtime, text, stopAfter) {
  return new Promise((resolve, reject) => {
    const speech = { pcm: [], bytes: 0, transcript: '', itemId: '', status: '' };
    const on = {
      'response.output_audio.delta': (event) => {
        const pcm = Buffer.from(event.delta, 'base64'); // give it to your player here
        speech.pcm.push(pcm);
        speech.bytes += pcm.length;
        speech.itemId = event.item_id;
        if (stopAfter !== undefined && speech.bytes >= stopAfter * 48000) {
          const audio_end_ms = Math.round(stopAfter * 1000);
          realtime.send({ type: 'response.cancel' });
          realtime.send({
            type: 'conversation.item.truncate', item_id: event.item_id, content_index: 0, audio_end_ms,
          });
          stopAfter = undefined;
        }
      },
      'response.output_audio_transcript.done': (event) => { speech.transcript = event.transcript; },
      'response.done': (event) => {
        speech.status = event.response.status;
        finish(() => resolve({ ...speech, pcm: Buffer.concat(speech.pcm) }));
      },
      error: (error) => finish(() => reject(error)),
    };
    const finish = (how) => {
      for (const [kind, listener] of Object.entries(on)) realtime.off(kind, listener);
      how();
    };
    for (const [kind, listener] of Object.entries(on)) realtime.on(kind, listener);
    realtime.send({
      type: 'conversation.item.create',
      item: { type: 'message', role: 'user', content: [{ type: 'input_text', text }] },
    });
    realtime.send({ type: 'response.create' });
  });
}

/** The words of an item as the conversation holds them: after a stop, those that were heard. */
export function remembered(realtime, itemId) {
  return new Promise((resolve, reject) => {
    realtime.once('error', reject);
    realtime.once('conversation.item.retrieved', (event) => {
      realtime.off('error', reject);
      resolve(event.item.content.map((part) => part.transcript ?? '').join(''));
    });
    realtime.send({ type: 'conversation.item.retrieve', item_id: itemId });
  });
}

async function main([text, output = 'speech.wav', stopAfter]) {
  const realtime = await connect();
  realtime.send({ type: 'session.update', session: { type: 'realtime', audio: { output: { voice: 'ada' } } } });
  const speech = await say(realtime, text, stopAfter && Number(stopAfter));
  console.log(speech.status, await remembered(realtime, speech.itemId));
  realtime.close();
  await writeFile(output, wav(speech.pcm));
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) await main(process.argv.slice(2));
