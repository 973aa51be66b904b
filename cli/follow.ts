/** Following a run: its timeline until it ends, its log as it is written. Both outlive a restart of the server. */
import {
  type EventBody,
  isTerminal,
  type LogPageBody,
  type LogRecordBody,
  type RunBody,
} from '../core/contract/runs.ts';
import type { Arguments, Body, JsonOperation } from './client.ts';
import { type CliError, EXIT, Interrupted } from './errors.ts';
import type { Session } from './session.ts';

const WATCH_PAUSE_MS = 1000;
const LONG_POLL_SECONDS = 20;
/** Between two empty answers of a server that does not hold requests back. */
const LOG_PAUSE_MS = 1000;
const EVENTS_PER_PAGE = 100;

const outage = (session: Session) => (error: CliError) =>
  session.out.note(`${error.message} Trying again until it does.`);

/** Reads from a server that may be away for a while. */
const patiently = <Name extends JsonOperation>(
  session: Session,
  name: Name,
  ...args: Arguments<Name>
): Promise<Body<Name>> => session.client.callPersistently(outage(session), name, ...args);

export interface Follower {
  readonly onEvent: (event: EventBody) => Promise<void> | void;
  /** Called when the run waits, and again when what it waits for changes. */
  readonly onWaiting?: (waiting: NonNullable<RunBody['waiting']>) => void;
}

/**
 * Tells all events of a run, the past ones first, until it has ended, and answers it.
 * @throws Interrupted after it has said that the run goes on
 */
export async function followRun(session: Session, runId: string, follower: Follower): Promise<RunBody> {
  const events = new Timeline(session, runId);
  let seenVersion = -1;
  let waitingFor: string | undefined;
  return leavingItRunning(session, runId, async () => {
    for (;;) {
      // The run is read before its events: so the events of an ended run are complete.
      const run = await patiently(session, 'getRun', { path: { runId } });
      if (run.version !== seenVersion) for (const event of await events.fresh()) await follower.onEvent(event);
      seenVersion = run.version;
      if (isTerminal(run.status)) return run;
      if (run.waiting !== undefined && run.waiting.reason !== waitingFor) follower.onWaiting?.(run.waiting);
      waitingFor = run.waiting?.reason;
      await session.client.pause(WATCH_PAUSE_MS);
    }
  });
}

/** The events of a run, each told once. */
class Timeline {
  readonly #session: Session;
  readonly #runId: string;
  #cursor: string | undefined;
  #lastSequence = -1;

  constructor(session: Session, runId: string) {
    this.#session = session;
    this.#runId = runId;
  }

  async fresh(): Promise<readonly EventBody[]> {
    const found: EventBody[] = [];
    for (;;) {
      const query = { limit: EVENTS_PER_PAGE, cursor: this.#cursor };
      const page = await patiently(this.#session, 'listRunEvents', { path: { runId: this.#runId }, query });
      // The last page is read again next time, from where it began.
      found.push(...page.items.filter((event) => event.sequence > this.#lastSequence));
      this.#lastSequence = Math.max(this.#lastSequence, ...page.items.map((event) => event.sequence));
      if (page.nextCursor === undefined || page.nextCursor === this.#cursor) return found;
      this.#cursor = page.nextCursor;
    }
  }
}

/** 0 if the run ended as it should, 1 otherwise. */
export const outcomeExitCode = (run: RunBody, wanted: RunBody['status'] = 'succeeded'): number =>
  run.status === wanted ? EXIT.ok : EXIT.runNotSucceeded;

export interface LogOptions {
  readonly follow: boolean;
  readonly attempt?: number | undefined;
  readonly onRecords: (records: readonly LogRecordBody[]) => Promise<void>;
}

/**
 * Reads a run's log: what is there, or with `follow` all of it until the run has ended.
 * @throws Interrupted after it has said that the run goes on
 */
export async function readLogs(session: Session, runId: string, options: LogOptions): Promise<void> {
  if (!options.follow) return readAttempt(session, runId, options.attempt, options);
  await leavingItRunning(session, runId, async () => {
    let attempt = options.attempt ?? (await patiently(session, 'getRun', { path: { runId } })).attempt;
    for (;;) {
      // A cursor belongs to one attempt's log, so the attempt is named: otherwise a later one would be read from its middle.
      await readAttempt(session, runId, attempt, options);
      const run = await patiently(session, 'getRun', { path: { runId } });
      if (options.attempt !== undefined || run.attempt <= attempt) return;
      attempt += 1;
      session.out.note(`Attempt ${attempt} of ${runId}:`);
    }
  });
}

async function readAttempt(
  session: Session,
  runId: string,
  attempt: number | undefined,
  { follow, onRecords }: LogOptions,
): Promise<void> {
  const path = { runId };
  let cursor: string | undefined;
  for (;;) {
    const askedAt = performance.now();
    const query = { cursor, attempt };
    const page: LogPageBody = follow
      ? await patiently(session, 'getRunLogs', { path, query: { ...query, wait: LONG_POLL_SECONDS } })
      : await session.client.call('getRunLogs', { path, query });
    await onRecords(page.items);
    const nothingNew = page.nextCursor === cursor || page.items.length === 0;
    if (page.complete || (!follow && nothingNew)) return;
    if (nothingNew && performance.now() - askedAt < LOG_PAUSE_MS) await session.client.pause(LOG_PAUSE_MS);
    cursor = page.nextCursor;
  }
}

async function leavingItRunning<T>(session: Session, runId: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof Interrupted)
      session.out.note(`Stopped following. The run goes on; to stop it: candor runs cancel ${runId}`);
    throw error;
  }
}
