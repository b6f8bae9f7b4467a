/**
 * The Agents SDK in one session: a whole utterance, one interrupted in the middle, a response.create that is refused,
 * a whole utterance again.
 */
import { connect, remembered, say } from './agents_realtime.mjs';
import { heard, tell } from './facts.mjs';

const STOP_AFTER_S = 0.8;
const [first, long, last] = process.argv.slice(2);

const errors = [];
const session = await connect();
session.on('error', ({ error }) => errors.push(error?.error?.error ?? String(error)));

const whole = await say(session, first);
const transcript = remembered(session);

const retrieved = new Promise((resolve) => {
  session.transport.once('conversation.item.retrieved', (event) => resolve(event.item));
});
const cut = await say(session, long, STOP_AFTER_S);
const item = await retrieved; // the SDK asks for it when it hears of the truncation
const kept = remembered(session);
const unexpected = errors.splice(0);

const refused = new Promise((resolve) => {
  session.transport.once('error', ({ error }) => resolve(error.error));
});
session.transport.sendEvent({ type: 'response.create', response: { conversation: 'neither' } });
const refusal = await refused;

const again = await say(session, last);
const transcripts = session.history.map((one) => ({
  role: one.role, text: one.content.map((part) => part.text ?? part.transcript ?? '').join(''),
}));
session.close();
tell({
  first: heard(whole, { transcript }),
  cut: heard(cut, {
    history: kept, item_id: item.id, retrieved: item.content.map((part) => part.transcript ?? '').join(''),
  }),
  last: heard(again, { transcript: transcripts.at(-1).text }),
  refusal,
  transcripts,
  errors: unexpected,
});
