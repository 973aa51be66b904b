/** What holds for what runners store: nothing is counted that is not there, and nothing is there beyond what may be (I7). */

import type { Artifact } from '../../core/contract/runner.ts';
import { isTerminal } from '../../core/contract/runStatus.ts';
import { NotFound } from '../../core/errors.ts';
import type { LogRecord } from '../../core/ports.ts';
import { payloadOf } from '../../core/runs/payload.ts';
import type { readArtifact } from '../../core/runs/reading.ts';
import * as keys from '../../core/table/itemKeys.ts';
import type { Item } from '../../core/table/model.ts';
import type { Address } from '../../runner/state.ts';
import { chunkKey, textOf } from './deposits.ts';
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

type ReadFile = Awaited<ReturnType<typeof readArtifact>>;

/** A request that found the run before its end is answered by then. */
const READ_MS = 60_000;

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

  /** @param stored so many chunks were taken before somebody asked */
  logRead({ runId, attempt }: Address, stored: number, records: readonly LogRecord[]): void {
    const shown = records.map(({ text }) => text);
    const wanted = Array.from({ length: Math.max(stored, shown.length) }, (_, at) => textOf({ runId, attempt }, at));
    if (JSON.stringify(shown) !== JSON.stringify(wanted))
      this.#world.broken('truth', `the log of ${runId} ${attempt} is read as ${JSON.stringify(shown)}`);
  }

  fileRead(runId: string, { content }: ReadFile, url: string): void {
    // Another attempt may have left a file of the same name.
    const isIts = content.kind === 'elsewhere' && content.url.split(' ')[0] === runId;
    if (!isIts || content.url.split(' ')[2] !== url.split(' ')[2])
      this.#world.broken('truth', `${url} is read from ${content.kind === 'elsewhere' ? content.url : 'here'}`);
  }

  /** Whoever asks for what the outcome names gets it, unless the store fails. */
  fileNotRead({ runId, attempt }: Address, { path }: Artifact, error: unknown): void {
    const run = this.#world.checker.runs.rows.get(runId);
    const named = payloadOf(this.#world.table.get(keys.runArtifacts(runId))) as readonly Artifact[] | undefined;
    const isNamed = run?.attempt === attempt && named?.some((each) => each.path === path) === true;
    if (
      isNamed &&
      error instanceof NotFound &&
      (run.endedAt ?? Number.POSITIVE_INFINITY) < this.#world.time.now - READ_MS
    )
      this.#world.broken('truth', `${path} of ${runId} is named, and is not there`);
  }

  /** Whoever was given an address has stored there what he was allowed. */
  fileStored({ runId, attempt }: Address, sha256: string): void {
    const row = this.#world.table.get(keys.runFiles(runId, attempt)) as Files | undefined;
    if (row?.files.some((file) => file.sha256 === sha256) !== true)
      this.#fail(`a file of ${runId} ${attempt} is stored, and not counted`);
  }
}
