/**
 * What the runner knows, as a fold over facts. The journal holds the durable ones; replaying them rebuilds the state.
 * Pure: no clock, no files, no randomness.
 */
import type { Json } from '../core/contract/common.ts';
import type { Artifact, NotStartedBecause, RunnerCommand } from '../core/contract/runner.ts';
import type { TerminatedBy } from '../core/contract/runs.ts';

export type StartCommand = Extract<RunnerCommand, { kind: 'start' }>;
export type CancelCommand = Extract<RunnerCommand, { kind: 'cancel' }>;

/** One try of a run. */
export interface Address {
  readonly runId: string;
  readonly attempt: number;
}

export const keyOf = ({ runId, attempt }: Address): string => `${runId}.${attempt}`;

/** Why and how patiently the work is being ended. */
export interface Cancel {
  readonly cause: CancelCommand['cause'];
  readonly interruptMs: number;
  readonly terminateMs: number;
  /** For work that nobody cancelled by name: why it is ended. */
  readonly detail?: string;
}

export interface SentSignal {
  readonly signal: NodeJS.Signals;
  /** On the VM's monotonic clock, just before it was sent. */
  readonly monotonicMs: number;
}

/** How a run ended; it stays in the registry until the server has stored it. Times are on the monotonic clock. */
export interface Outcome {
  readonly state: 'ended' | 'not_started' | 'gone';
  /** With `not_started`. */
  readonly notStartedBecause?: NotStartedBecause;
  readonly pid?: number;
  readonly bootId?: string;
  readonly startedMonotonicMs?: number;
  readonly endedMonotonicMs?: number;
  readonly exitCode?: number;
  readonly signal?: string;
  readonly terminatedBy?: TerminatedBy;
  readonly output?: Json;
  readonly outputTruncatedBytes?: number;
  readonly logChunks?: number;
  readonly artifacts?: Artifact[];
  readonly detail?: string;
}

/** What this process of the runner has seen of living work. A restarted runner looks again. */
export interface Live {
  readonly pid?: number;
  readonly startedMonotonicMs?: number;
  readonly bootId?: string;
  /** What is being done before the process is started. */
  readonly preparing?: 'setup' | 'repository';
  /** The shim has died and the work has not: its exit status cannot be known any more. */
  readonly orphaned?: boolean;
  /** When, on the monotonic clock, the next signal is due. */
  readonly escalateAtMs?: number;
  /** When a shim that should report, and does not, is taken for hung. */
  readonly hungAtMs?: number;
  /** The process has ended; left-overs, logs and output are being seen to. */
  readonly finishing?: boolean;
}

export interface Run extends Address {
  readonly maxOutputBytes: number;
  readonly signals: readonly SentSignal[];
  readonly live: Live;
  readonly cancel?: Cancel;
  readonly outcome?: Outcome;
}

/** `lease-lost`: nobody has answered a heartbeat for so long that this VM must be taken for forgotten. */
export type Stopping = 'stop-vm' | 'unwanted' | 'lease-lost';

export interface State {
  /** Number of the last command that was taken into the journal. */
  readonly lastTaken: number;
  /** Set once the VM is to stop: all work is being ended, none is started. */
  readonly stopping?: Stopping;
  readonly runs: ReadonlyMap<string, Run>;
  /** Tries whose outcome the server has stored; `never_ran` ones are tombstones that refuse a delayed start. */
  readonly done: ReadonlyMap<string, 'ran' | 'never_ran'>;
}

export const EMPTY: State = { lastTaken: 0, runs: new Map(), done: new Map() };

/** The part of a command that the journal keeps. Input, environment and token stay out of it. */
export type TakenCommand =
  | ({ readonly kind: 'start'; readonly maxOutputBytes: number; readonly impossible?: string } & Address)
  | ({ readonly kind: 'cancel' } & Address & Cancel)
  | { readonly kind: 'stop-vm' }
  /** Of a newer server: it is taken, so that the ones behind it are not held up, and nothing is done. */
  | { readonly kind: 'unknown' };

export type Fact =
  | { readonly kind: 'taken'; readonly number: number; readonly command: TakenCommand }
  | ({ readonly kind: 'signal'; readonly signal: NodeJS.Signals; readonly monotonicMs: number } & Address)
  /** The signal written down last found nobody to get it. */
  | ({ readonly kind: 'signal-missed' } & Address)
  | ({ readonly kind: 'outcome'; readonly outcome: Outcome } & Address)
  | ({ readonly kind: 'acknowledged' } & Address)
  | { readonly kind: 'unwanted' }
  | { readonly kind: 'lease-lost' }
  | { readonly kind: 'snapshot'; readonly snapshot: Snapshot }
  /** The only fact that is not written to the journal. */
  | ({ readonly kind: 'observed'; readonly live: Live } & Address);

export interface Snapshot {
  readonly lastTaken: number;
  readonly stopping?: Stopping;
  readonly runs: readonly Run[];
  readonly done: readonly (readonly [string, 'ran' | 'never_ran'])[];
}

const STOP: Omit<Cancel, 'detail'> = { cause: 'cancel', interruptMs: 1000, terminateMs: 1000 };

/** Adds one fact to the state. */
export function apply(state: State, fact: Fact): State {
  switch (fact.kind) {
    case 'taken':
      return applyCommand({ ...state, lastTaken: fact.number }, fact.command);
    case 'signal':
      return change(state, fact, (run) => ({
        ...run,
        signals: [...run.signals, { signal: fact.signal, monotonicMs: fact.monotonicMs }],
      }));
    case 'signal-missed':
      return change(state, fact, (run) => ({ ...run, signals: run.signals.slice(0, -1) }));
    case 'outcome':
      return change(state, fact, (run) => ({ ...run, live: {}, outcome: fact.outcome }));
    case 'observed':
      return change(state, fact, (run) => ({ ...run, live: fact.live }));
    case 'acknowledged':
      return acknowledge(state, fact);
    case 'unwanted':
    case 'lease-lost':
      return stop(state, fact.kind);
    case 'snapshot': {
      const { lastTaken, stopping, runs, done } = fact.snapshot;
      return {
        lastTaken,
        ...(stopping && { stopping }),
        runs: new Map(runs.map((run) => [keyOf(run), { ...run, live: {} }])),
        done: new Map(done),
      };
    }
  }
}

/** The state as one fact, for a journal that has grown long. */
export const snapshotOf = ({ lastTaken, stopping, runs, done }: State): Fact => ({
  kind: 'snapshot',
  snapshot: { lastTaken, ...(stopping && { stopping }), runs: [...runs.values()], done: [...done] },
});

export const isLive = (run: Run): boolean => run.outcome === undefined;

export const liveRuns = (state: State): Run[] => [...state.runs.values()].filter(isLive);

function applyCommand(state: State, command: TakenCommand): State {
  switch (command.kind) {
    case 'start':
      return applyStart(state, command);
    case 'cancel':
      return applyCancel(state, command);
    case 'stop-vm':
      return stop(state, 'stop-vm');
    case 'unknown':
      return state;
  }
}

function applyStart(state: State, command: Extract<TakenCommand, { kind: 'start' }>): State {
  const key = keyOf(command);
  // What has been here before is never started again, whatever the number of the command.
  if (state.runs.has(key) || state.done.get(key) === 'ran') return state;
  const { runId, attempt, maxOutputBytes, impossible } = command;
  const run: Run = { runId, attempt, maxOutputBytes, signals: [], live: {} };
  if (impossible !== undefined) return put(state, { ...run, outcome: notStarted('impossible', impossible) });
  if (state.done.has(key))
    return put(state, refused(run, 'This attempt was refused before, so it is not started now.'));
  if (state.stopping) return put(state, refused(run, 'The VM is being stopped.'));
  return put(state, run);
}

function applyCancel(state: State, command: Extract<TakenCommand, { kind: 'cancel' }>): State {
  const { runId, attempt, cause, interruptMs, terminateMs } = command;
  if (state.done.has(keyOf(command))) return state;
  if (!state.runs.has(keyOf(command))) {
    const detail = 'Cancelled before its start arrived; a start that comes later is refused.';
    return put(state, refused({ runId, attempt, maxOutputBytes: 0, signals: [], live: {} }, detail));
  }
  return change(state, command, (run) =>
    // The first cancel stands: another one must not start the waits between the signals anew.
    run.cancel || run.outcome ? run : { ...run, cancel: { cause, interruptMs, terminateMs } },
  );
}

const STOP_DETAILS: Readonly<Record<Stopping, string>> = {
  'stop-vm': 'It was ended because the VM was stopped.',
  unwanted: 'The VM is not wanted any more.',
  'lease-lost': 'The server could not be reached for too long.',
};

function stop(state: State, stopping: Stopping): State {
  const detail = STOP_DETAILS[stopping];
  const runs = [...state.runs].map(([key, run]): [string, Run] => [
    key,
    run.cancel || run.outcome ? run : { ...run, cancel: { ...STOP, detail } },
  ]);
  return { ...state, stopping, runs: new Map(runs) };
}

function acknowledge(state: State, address: Address): State {
  const key = keyOf(address);
  const run = state.runs.get(key);
  if (!run?.outcome) return state;
  const runs = new Map(state.runs);
  runs.delete(key);
  const done = new Map(state.done).set(key, run.outcome.state === 'not_started' ? 'never_ran' : 'ran');
  return { ...state, runs, done };
}

/** The outcome of a start that was asked for and did not become a process. */
export const notStarted = (notStartedBecause: NotStartedBecause, detail: string): Outcome => ({
  state: 'not_started',
  notStartedBecause,
  detail,
});

const refused = (run: Run, detail: string): Run => ({ ...run, outcome: notStarted('refused', detail) });

const put = (state: State, run: Run): State => ({ ...state, runs: new Map(state.runs).set(keyOf(run), run) });

function change(state: State, address: Address, edit: (run: Run) => Run): State {
  const run = state.runs.get(keyOf(address));
  return run ? put(state, edit(run)) : state;
}
