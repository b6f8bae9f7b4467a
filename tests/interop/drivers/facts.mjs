/** What a driver tells of what it heard: one JSON line, the last of its output. */
import { createHash } from 'node:crypto';

/** 16-bit mono PCM as sample count and checksum. */
export function heard(pcm, more = {}) {
  return { samples: pcm.length / 2, sha256: createHash('sha256').update(pcm).digest('hex'), ...more };
}

export function tell(facts) {
  console.log(JSON.stringify(facts));
}
