/** What holds for what runners store: nothing is counted that is not there, and nothing is there beyond what may be (I7). */
import { isTerminal } from '../../core/contract/runStatus.ts';
import * as keys from '../../core/table/itemKeys.ts';
import type { Item } from '../../core/table/model.ts';
import type { Address } from '../../runner/state.ts';
import { chunkKey } from './deposits.ts';
import type { Commit } from './invariants.ts';
import type { Change } from './table.ts';
import type { Simulation } from './world.ts';

/** Of the item in which it is counted. */
function addressOf({ key }: Change): Address | undefined {
  const [kind, attempt] = key.sk.split('#');
  return kind === 'LOG' || kind === 'FILES'
    ? { runId: key.pk.slice('RUN#'.length), attempt: Number(attempt) }
    : undefined;
}

interface Files {
  readonly count: number;
  readonly files: readonly { readonly sha256: string; readonly bytes: number }[];
}

export class DepositRules {
  readonly #world: Simulation;

  constructor(world: Simulation) {
    this.#world = world;
  }

  committed({ inc, changes }: Commit): void {
    if (inc.kind !== 'deposit') return;
    for (const change of changes) {
      const address = addressOf(change);
      if (address === undefined || change.after === undefined) {
        this.#fail(`${change.key.pk} ${change.key.sk} is changed by what a runner stores`);
        continue;
      }
      this.#allowed(address, inc.startedAt);
      if (change.key.sk.startsWith('LOG#')) this.#chunk(address, change.before, change.after);
      else this.#files(address, change.before as unknown as Files | undefined, change.after as unknown as Files);
    }
  }

  #fail = (what: string): void => this.#world.broken('I7', what);

  /** It may have ended while the request was handled, but not before. */
  #allowed({ runId, attempt }: Address, since: number): void {
    const { rows, endedAt } = this.#world.checker.runs;
    const run = rows.get(runId);
    if (run === undefined || run.attempt < attempt) this.#fail(`something is stored of attempt ${attempt} of ${runId}`);
    else if (isTerminal(run.status) && run.status !== 'lost' && (endedAt.get(runId) ?? 0) < since)
      this.#fail(`something is stored of ${runId}, which is ${run.status}`);
  }

  #chunk(address: Address, before: Item | undefined, after: Item): void {
    const [was, is] = [Number(before?.chunks ?? 0), Number(after.chunks)];
    const name = `the log of ${address.runId} ${address.attempt}`;
    if (is !== was + 1) this.#fail(`${name} goes from ${was} chunks to ${is}`);
    if (!this.#world.objects.chunks.has(chunkKey(address, is - 1)))
      this.#fail(`${name} counts chunk ${is - 1}, which is not there`);
    if (Number(after.bytes) <= Number(before?.bytes ?? 0)) this.#fail(`${name} has ${after.bytes} bytes`);
  }

  #files({ runId, attempt }: Address, before: Files | undefined, { count, files }: Files): void {
    const name = `the files of ${runId} ${attempt}`;
    const known = new Set(files.map(({ sha256 }) => sha256));
    for (const { sha256 } of before?.files ?? []) if (!known.has(sha256)) this.#fail(`${name} have one less`);
    if (count !== files.length || known.size !== count) this.#fail(`${name} are ${files.length}, and ${count} counted`);
    const bytes = files.reduce((sum, file) => sum + file.bytes, 0);
    if (bytes > this.#world.config.maxArtifactBytes) this.#fail(`${name} have ${bytes} bytes`);
  }

  /** Whoever was given an address has stored there what he was allowed. */
  fileStored({ runId, attempt }: Address, sha256: string): void {
    const row = this.#world.table.get(keys.runFiles(runId, attempt)) as Files | undefined;
    if (row?.files.some((file) => file.sha256 === sha256) !== true)
      this.#fail(`a file of ${runId} ${attempt} is stored, and not counted`);
  }
}
