/** Looking at a queue: everything that was taken for it is given back at once, or comes back by itself soon after. */
import { type Letter, type QueueName, type RawLetter, readLetter } from './letters.ts';
import type { Mailbox } from './mailbox.ts';

/** As long as a look may take. Whoever redrives meanwhile does not see what is being looked at. */
const LOOK_SECONDS = 30;

/** The oldest first, of those that were seen: a queue hands out its letters in no order. */
export async function look(mailbox: Mailbox, queue: QueueName, max: number): Promise<readonly Letter[]> {
  const seen = new Map<string, RawLetter>();
  try {
    while (seen.size < max) {
      const letters = await mailbox.take(max - seen.size, LOOK_SECONDS);
      const fresh = letters.filter(({ id }) => !seen.has(id));
      // The newest handle is the one that counts, also for a letter that came twice.
      for (const letter of letters) seen.set(letter.id, letter);
      if (fresh.length === 0) break;
    }
  } finally {
    await Promise.allSettled([...seen.values()].map((letter) => mailbox.giveBack(letter)));
  }
  return [...seen.values()].map((raw) => readLetter(queue, raw)).sort((a, b) => a.sentAt - b.sentAt);
}
