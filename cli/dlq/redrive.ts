/**
 * Does again what a letter asks for, and only then deletes the letter. Whatever happens between the two leaves the letter
 * where it is: what it asks for is then done a second time, which all of Candor's functions bear.
 */
import { type CallFunction, FunctionFailed } from './functions.ts';
import { type Errand, type Letter, type QueueName, readLetter, type StreamRange } from './letters.ts';
import type { Mailbox } from './mailbox.ts';
import { type DeliveredRecord, RecordsGone, RecordsUnread } from './stream.ts';

export type Result =
  /** Done, and the letter is gone. */
  | { readonly kind: 'redriven'; readonly detail: string }
  /** Done, and the letter could not be deleted: it will be there again, and may be redriven again. */
  | { readonly kind: 'redriven_not_deleted'; readonly detail: string }
  /** Not done. The letter stays. */
  | { readonly kind: 'failed'; readonly detail: string }
  /** It can never be done. The letter stays, unless it was to be discarded. */
  | { readonly kind: 'hopeless'; readonly detail: string }
  | { readonly kind: 'discarded'; readonly detail: string }
  /** What a redrive would do. */
  | { readonly kind: 'would_redrive'; readonly detail: string };

export interface Outcome {
  readonly letter: Letter;
  readonly result: Result;
}

export interface RedriveParts {
  readonly mailbox: Mailbox;
  readonly call: CallFunction;
  readonly records: (range: StreamRange) => AsyncIterable<readonly DeliveredRecord[]>;
  /** The function's full name. */
  readonly functionName: (short: string) => string;
}

export interface RedriveOptions {
  readonly queue: QueueName;
  readonly max: number;
  /** Deletes what can never be redriven, after this was told of it. */
  readonly discard?: (letter: Letter) => Promise<void>;
  readonly signal: AbortSignal;
  /** Told of each letter as soon as it is known what became of it. */
  readonly onOutcome: (outcome: Outcome) => Promise<void>;
}

/** Longer than any of the functions may take, so that nobody else is given the letter while it is being redriven. */
export const TAKEN_SECONDS = 300;
/** So many in a row say that the cause is still there; more of the same would only cost and fill the log. */
const FAILURES_IN_A_ROW_MAX = 5;

export interface Summary {
  readonly counts: Readonly<Partial<Record<Result['kind'], number>>>;
  /** Why it has ended, where it was not for want of letters. */
  readonly stopped?: 'max' | 'failures' | 'interrupted';
}

export async function redrive(parts: RedriveParts, options: RedriveOptions): Promise<Summary> {
  const { mailbox } = parts;
  const { queue, max, discard, signal, onOutcome } = options;
  const counts: Partial<Record<Result['kind'], number>> = {};
  const kept = new Map<string, Letter>();
  let failures = 0;
  const stopped = (done: number): Summary['stopped'] => {
    if (signal.aborted) return 'interrupted';
    if (failures >= FAILURES_IN_A_ROW_MAX) return 'failures';
    return done >= max ? 'max' : undefined;
  };
  try {
    for (let done = 0; ; done++) {
      const why = stopped(done);
      if (why !== undefined) return { counts, stopped: why };
      // One at a time: a letter that waits for its turn could be given to somebody else meanwhile.
      const [raw] = await mailbox.take(1, TAKEN_SECONDS);
      if (raw === undefined) return { counts };
      const letter = readLetter(queue, raw);
      const again = kept.has(letter.id);
      kept.set(letter.id, letter);
      // A queue may hand out again what was kept: it was tried already. The newest handle is the one that gives it back.
      if (again) continue;
      const result = await settle(parts, letter, discard);
      if (result.kind === 'redriven' || result.kind === 'discarded') kept.delete(letter.id);
      failures = result.kind === 'failed' ? failures + 1 : 0;
      counts[result.kind] = (counts[result.kind] ?? 0) + 1;
      await onOutcome({ letter, result });
    }
  } finally {
    await Promise.allSettled([...kept.values()].map((letter) => mailbox.giveBack(letter)));
  }
}

async function settle(parts: RedriveParts, letter: Letter, discard: RedriveOptions['discard']): Promise<Result> {
  const tried = await attempt(parts, letter.errand);
  if (tried.kind === 'failed' || (tried.kind === 'hopeless' && discard === undefined)) return tried;
  const done = tried.kind === 'hopeless' ? 'discarded' : 'redriven';
  if (done === 'discarded') await discard?.(letter);
  try {
    await parts.mailbox.remove(letter);
    return { kind: done, detail: tried.detail };
  } catch (error) {
    if (done === 'discarded') return { kind: 'failed', detail: `it could not be deleted: ${wordsOf(error)}` };
    return { kind: 'redriven_not_deleted', detail: `${tried.detail}; it could not be deleted: ${wordsOf(error)}` };
  }
}

type Tried = Extract<Result, { readonly kind: 'redriven' | 'failed' | 'hopeless' }>;

async function attempt(parts: RedriveParts, errand: Errand): Promise<Tried> {
  if (errand.kind === 'none') return { kind: 'hopeless', detail: errand.why };
  try {
    const detail =
      errand.kind === 'call'
        ? answerText(await parts.call(parts.functionName(errand.target), errand.event))
        : await replay(parts, errand.range);
    return { kind: 'redriven', detail };
  } catch (error) {
    if (error instanceof RecordsGone) return { kind: 'hopeless', detail: error.message };
    if (error instanceof FunctionFailed || error instanceof RecordsUnread)
      return { kind: 'failed', detail: error.message };
    // Neither the function nor the stream has said anything of this letter: it is about rights, names or the way there.
    throw error;
  }
}

/** Below what Lambda takes in one call (6 MB), and as many records as a trigger's batch has. */
const BATCH_BYTES_MAX = 4_000_000;
const BATCH_RECORDS_MAX = 100;

async function replay({ call, records, functionName }: RedriveParts, range: StreamRange): Promise<string> {
  const name = functionName('events');
  let count = 0;
  for await (const page of records(range))
    for (const batch of batches(page)) {
      const failed = failureIn(await call(name, { Records: batch }));
      if (failed !== undefined) throw new FunctionFailed(name, `record ${failed} could not be handled`);
      count += batch.length;
    }
  return `${count} records handled`;
}

function* batches(records: readonly DeliveredRecord[]): Generator<readonly DeliveredRecord[]> {
  let batch: DeliveredRecord[] = [];
  let bytes = 0;
  for (const record of records) {
    const size = Buffer.byteLength(JSON.stringify(record));
    if (batch.length > 0 && (bytes + size > BATCH_BYTES_MAX || batch.length >= BATCH_RECORDS_MAX)) {
      yield batch;
      batch = [];
      bytes = 0;
    }
    batch.push(record);
    bytes += size;
  }
  if (batch.length > 0) yield batch;
}

/** The first record that `events` says has to come again; those behind it were not looked at. */
function failureIn(answer: unknown): string | undefined {
  const { batchItemFailures: failures } = (answer ?? {}) as { batchItemFailures?: unknown };
  if (!Array.isArray(failures) || failures.length === 0) return undefined;
  const [first] = failures as readonly { readonly itemIdentifier?: unknown }[];
  return String(first?.itemIdentifier ?? 'unknown');
}

const ANSWER_MAX = 200;
const answerText = (answer: unknown): string =>
  answer === undefined || answer === null ? 'done' : JSON.stringify(answer).slice(0, ANSWER_MAX);

const wordsOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/** What {@link redrive} would do with a letter. Whether the stream still has its records is not asked. */
export function plan({ errand }: Letter): Result {
  if (errand.kind === 'none') return { kind: 'hopeless', detail: errand.why };
  const detail =
    errand.kind === 'call' ? `calls ${errand.target} again` : 'reads its records from the stream, for events';
  return { kind: 'would_redrive', detail };
}
