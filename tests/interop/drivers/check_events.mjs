/**
 * Runs server events (a file of JSON lines) through the Agents SDK: its parser, whose "generic" means that the event is
 * ignored, and its WebSocket transport, whose message handler may throw. Tells the 0-based lines of both.
 */
import { EventEmitter } from 'node:events';
import { readFile } from 'node:fs/promises';
import { OpenAIRealtimeWebSocket } from '@openai/agents-realtime';
import { tell } from './facts.mjs';

const home = import.meta.resolve('@openai/agents-realtime');
const { parseRealtimeEvent } = await import(new URL('openaiRealtimeEvents.mjs', home));

/** A socket that says what it is made to say and takes anything. */
class Told extends EventEmitter {
  addEventListener(kind, listener) { this.on(kind, listener); }
  send() {}
  close() {}
}

const socket = new Told();
const transport = new OpenAIRealtimeWebSocket({ createWebSocket: async () => socket, skipOpenEventListeners: true });
transport.on('error', () => {});
await transport.connect({ apiKey: 'none', initialSessionConfig: {} });

const lines = (await readFile(process.argv[2], 'utf8')).trimEnd().split('\n');
const ignored = [], thrown = [];
for (const [at, data] of lines.entries()) {
  if (parseRealtimeEvent({ data }).isGeneric) ignored.push(at);
  try {
    socket.emit('message', { data });
  } catch (error) {
    thrown.push(at);
  }
}
tell({ ignored, thrown });
process.exit(0);
