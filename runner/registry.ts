/** The registry that every heartbeat carries, read off the state. Pure. */
import type { RegistryEntry } from '../core/contract/runner.ts';
import { isLive, keyOf, type Outcome, type Run, type State } from './state.ts';

/** Bounds of the contract. */
const ENTRIES_MAX = 100;
const DETAIL_CHARACTERS_MAX = 2000;
/** Outcomes carry outputs. Those that do not fit into one request any more wait for the next one. */
const OUTPUT_CHARACTERS_MAX = 2 * 1024 * 1024;

/** The clock by which ages are told. Times of an earlier boot have no age on it. */
export interface Now {
  readonly monotonicMs: number;
  readonly bootId: string;
}

/** What else is known of living work. */
export interface Watched {
  /** Log chunks that have been stored. */
  readonly logChunks?: number;
  readonly idleForMs?: number;
}

/** All runs that the server has yet to hear the last of; `watched` is by key. */
export function registryOf(state: State, now: Now, watched: (key: string) => Watched): RegistryEntry[] {
  const runs = [...state.runs.values()];
  // Living work first: should there ever be more than fit, it is the ended ones that can wait their turn.
  const ordered = [...runs.filter(isLive), ...runs.filter((run) => !isLive(run))].slice(0, ENTRIES_MAX);
  let outputCharacters = 0;
  return ordered.map((run) => {
    if (!run.outcome) return liveEntry(run, now, watched(keyOf(run)));
    const size = run.outcome.output === undefined ? 0 : JSON.stringify(run.outcome.output).length;
    const fits = outputCharacters === 0 || outputCharacters + size <= OUTPUT_CHARACTERS_MAX;
    if (fits) outputCharacters += size;
    return fits ? endedEntry(run, run.outcome, now) : waitingEntry(run);
  });
}

function liveEntry(run: Run, now: Now, { logChunks, idleForMs }: Watched): RegistryEntry {
  const { live } = run;
  const detail = detailOf(run);
  return {
    runId: run.runId,
    attempt: run.attempt,
    state: run.cancel || live.finishing ? 'ending' : live.pid === undefined && !live.orphaned ? 'starting' : 'running',
    ...(live.pid !== undefined && { pid: live.pid }),
    ...ago('startedAgoMs', live.startedMonotonicMs, live.bootId, now),
    ...signals(run),
    ...(logChunks !== undefined && { logChunks }),
    ...(idleForMs !== undefined && !live.finishing && { idleForMs }),
    ...(detail !== undefined && { detail: clip(detail) }),
  };
}

function detailOf({ live, cancel }: Run): string | undefined {
  if (live.finishing) return 'The process has ended; what it left behind is being ended and its output stored.';
  if (live.orphaned) return 'The shim has died: the work goes on, but its exit status cannot be known any more.';
  return cancel?.detail ?? (live.preparing && PREPARING[live.preparing]);
}

const PREPARING = {
  setup: "The agent's setup is being done.",
  repository: 'Its repository is being checked out.',
} as const;

function endedEntry(run: Run, outcome: Outcome, now: Now): RegistryEntry {
  const { bootId, startedMonotonicMs, endedMonotonicMs, detail, ...rest } = outcome;
  return {
    runId: run.runId,
    attempt: run.attempt,
    ...rest,
    // The journal of an earlier version does not say why; there was but one reason then.
    ...(rest.state === 'not_started' && { notStartedBecause: rest.notStartedBecause ?? 'refused' }),
    ...ago('startedAgoMs', startedMonotonicMs, bootId, now),
    ...ago('endedAgoMs', endedMonotonicMs, bootId, now),
    ...signals(run),
    ...(detail !== undefined && { detail: clip(detail) }),
  };
}

const waitingEntry = (run: Run): RegistryEntry => ({
  runId: run.runId,
  attempt: run.attempt,
  state: 'ending',
  detail: 'The run has ended; its outcome follows when those before it are stored.',
});

const signals = (run: Run) =>
  run.signals.length > 0 ? { signalsSent: run.signals.map(({ signal }) => signal).slice(0, 16) } : {};

function ago<Name extends string>(name: Name, atMs: number | undefined, bootId: string | undefined, now: Now) {
  if (atMs === undefined || bootId !== now.bootId) return {};
  return { [name]: Math.max(0, Math.round(now.monotonicMs - atMs)) } as { [Key in Name]: number };
}

export const clip = (text: string): string =>
  text.length <= DETAIL_CHARACTERS_MAX ? text : `${text.slice(0, DETAIL_CHARACTERS_MAX - 1).toWellFormed()}…`;
