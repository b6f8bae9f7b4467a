/** openai-node on one Realtime socket: a whole utterance, one stopped in the middle, a whole one again. */
import { connect, remembered, say } from './openai_realtime.mjs';
import { heard, tell } from './facts.mjs';

const STOP_AFTER_S = 0.8;
const [first, long, last] = process.argv.slice(2);

const realtime = await connect();
const whole = await say(realtime, first);
const cut = await say(realtime, long, STOP_AFTER_S);
const kept = await remembered(realtime, cut.itemId);
const again = await say(realtime, last);
realtime.close();
tell({
  first: heard(whole.pcm, { transcript: whole.transcript, status: whole.status }),
  cut: heard(cut.pcm, { played_s: STOP_AFTER_S, history: kept, status: cut.status, item_id: cut.itemId }),
  last: heard(again.pcm, { transcript: again.transcript, status: again.status }),
});
