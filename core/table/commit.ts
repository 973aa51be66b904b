/**
 * The read-decide-commit step that every protocol uses (design.md §5).
 *
 * `attempt` reads, decides and names its writes; this loop sends them and does what the answers ask for:
 *  - a lost guard → read and decide again (bounded), unless the write that "lost" was our own, applied before its
 *    answer was lost: that is told by the writer id in the item that the write itself appended;
 *  - `Contended` → the same again after a pause with jitter;
 *  - `StoreUnavailable` → whether it was applied is looked up by the same proof before anything is tried again.
 */
import { Contended, GuardFailed, StoreUnavailable } from '../errors.ts';
import type { Ids, Store, Time } from '../ports.ts';
import type { Key, Write } from './model.ts';

export interface Plan<Result> {
  readonly writes: readonly Write[];
  /** The item that these writes append, carrying `writer`. */
  readonly proof: Key;
  readonly result: Result;
}

export type Attempt<Result> = (writer: string) => Promise<{ readonly done: Result } | Plan<Result>>;

export interface CommitPorts {
  readonly store: Store;
  readonly ids: Ids;
  readonly time: Pick<Time, 'sleep'>;
}

const TRIES = 12;

export async function commit<Result>(ports: CommitPorts, attempt: Attempt<Result>): Promise<Result> {
  const writer = ports.ids.writer();
  let last: unknown;
  for (let tries = 0; tries < TRIES; tries++) {
    const plan = await attempt(writer);
    if ('done' in plan) return plan.done;
    try {
      await ports.store.transact(plan.writes);
      return plan.result;
    } catch (error) {
      last = error;
      if (error instanceof Contended) {
        await ports.time.sleep(jitter(writer, tries));
        // The other writer at these items may be this very transaction, sent again by the SDK after its answer was lost.
        if ((await ports.store.get(plan.proof))?.writer === writer) return plan.result;
        continue;
      }
      if (!(error instanceof GuardFailed || error instanceof StoreUnavailable)) throw error;
      const appended = await ports.store.get(plan.proof);
      if (appended?.writer === writer) return plan.result;
      if (error instanceof StoreUnavailable) throw error;
    }
  }
  throw new Contended(last);
}

/** Up to 5 · 2^tries ms, at most 320: spread by the writer id, so that the core needs no randomness of its own. */
function jitter(writer: string, tries: number): number {
  let hash = tries;
  for (let index = 0; index < writer.length; index++) hash = (Math.imul(hash, 31) + writer.charCodeAt(index)) >>> 0;
  return hash % (5 * 2 ** Math.min(tries, 6));
}
