/**
 * The runner's decisions: (state, event, now) -> facts to keep and effects to bring about. Pure: no clock, no files, no
 * randomness, so that a simulation can run it. Whoever runs it writes the facts durably *before* it acts on the
 * effects.
 */
import type { Json } from '../core/contract/common.ts';
import type { Artifact, NotStartedBecause, RunnerCommand } from '../core/contract/runner.ts';
import type { TerminatedBy } from '../core/contract/runs.ts';
import {
  type Address,
  apply,
  type Cancel,
  type Fact,
  isLive,
  keyOf,
  type Live,
  liveRuns,
  notStarted,
  type Outcome,
  type Run,
  type StartCommand,
  type State,
  type TakenCommand,
} from './state.ts';

/** What the shim left when the command ended. */
export interface ExitReport {
  readonly exitCode?: number;
  readonly signal?: string;
  readonly spawnError?: string;
  /** The command was not started: what had to be done before it has failed, or was ended. */
  readonly notStarted?: { readonly because: NotStartedBecause; readonly detail: string };
  readonly oomKilled?: boolean;
  /** Output that the disk did not take, and that the log does not speak of. */
  readonly unwrittenBytes?: number;
  readonly endedMonotonicMs: number;
  readonly bootId: string;
}

export interface StartReport {
  readonly pid: number;
  readonly startTicks: number;
  readonly startedMonotonicMs: number;
  readonly bootId: string;
}

/** One look at a run's folder and processes. */
export interface Probe {
  /**
   * `absent`: no shim has claimed the run and no process carries its mark. `booting`: one is there that may claim it.
   * `refused`: the runner has claimed it itself, so no shim ever can. `alive` and `dead`: the shim that has claimed it.
   */
  readonly shim: 'absent' | 'booting' | 'refused' | 'alive' | 'dead';
  readonly started?: StartReport;
  /** What is being done before the command is started, or was when the shim died: no process of it exists. */
  readonly preparing?: 'setup' | 'repository';
  /** The command's own process lives; where its pid was never written down: some process with the mark does. */
  readonly workAlive: boolean;
  readonly exit?: ExitReport;
  /** What was found, in words, for a run whose end cannot be known. */
  readonly detail?: string;
}

/** What was gathered once a run's process had ended. */
export interface Collected {
  readonly output?: Json;
  readonly outputTruncatedBytes?: number;
  readonly logChunks: number;
  readonly artifacts?: Artifact[];
  readonly remarks: readonly string[];
}

export type Event =
  | { readonly kind: 'commands'; readonly commands: readonly RunnerCommand[] }
  | ({ readonly kind: 'probed'; readonly probe: Probe } & Address)
  /** The work had ended between the decision to send a signal and the sending. */
  | ({ readonly kind: 'signal-missed' } & Address)
  | ({ readonly kind: 'start-failed'; readonly detail: string } & Address)
  | ({ readonly kind: 'collected'; readonly probe: Probe; readonly collected: Collected } & Address)
  | { readonly kind: 'acknowledged'; readonly acknowledged: readonly Address[] }
  | { readonly kind: 'unwanted' }
  /** No heartbeat has been answered for longer than a VM may go on alone. */
  | { readonly kind: 'lease-lost' }
  /** The state has been rebuilt from the journal. */
  | { readonly kind: 'replayed' };

export type Effect =
  | { readonly kind: 'start'; readonly command: StartCommand }
  /** Look at the run at once. */
  | ({ readonly kind: 'probe' } & Address)
  /** Take the claim so that no shim can start it any more, then look again. */
  | ({ readonly kind: 'refuse' } & Address)
  /** SIGINT and SIGTERM go to the work's process group, SIGKILL also to every process with the mark but the shim. */
  | ({ readonly kind: 'send-signal'; readonly signal: NodeJS.Signals; readonly writtenDown: boolean } & Address)
  /** SIGKILL for every process with the mark, the shim included. */
  | ({ readonly kind: 'kill-all' } & Address)
  /** End what is left over, store the logs, read the output. `killAtOnce`: left-overs get no SIGTERM first. */
  | ({ readonly kind: 'collect'; readonly probe: Probe; readonly killAtOnce: boolean } & Address)
  | ({ readonly kind: 'forget' } & Address)
  /** Nothing is left to do on this VM. */
  | { readonly kind: 'stop' };

export interface Decision {
  readonly facts: readonly Fact[];
  readonly effects: readonly Effect[];
}

const NOTHING: Decision = { facts: [], effects: [] };

/** Answers what to keep and what to do about an event. `nowMs` is on the VM's monotonic clock. */
export function decide(state: State, event: Event, nowMs: number): Decision {
  const decision = decideEvent(state, event, nowMs);
  const after = decision.facts.reduce(apply, state);
  const atRest = after.stopping !== undefined && liveRuns(after).length === 0;
  const wasAtRest = state.stopping !== undefined && liveRuns(state).length === 0;
  if (!atRest || (wasAtRest && event.kind !== 'replayed')) return decision;
  return { facts: decision.facts, effects: [...decision.effects, { kind: 'stop' }] };
}

function decideEvent(state: State, event: Event, nowMs: number): Decision {
  switch (event.kind) {
    case 'commands':
      return decideCommands(state, event.commands);
    case 'acknowledged':
      return decideAcknowledged(state, event.acknowledged);
    case 'unwanted':
      return state.stopping ? NOTHING : { facts: [{ kind: event.kind }], effects: probes(liveRuns(state)) };
    case 'lease-lost':
      // A VM that is being stopped already and hangs at it, for want of an answer, has to go too.
      return state.stopping === event.kind
        ? NOTHING
        : { facts: [{ kind: event.kind }], effects: probes(liveRuns(state)) };
    case 'replayed':
      return { facts: [], effects: probes(liveRuns(state)) };
    default: {
      const run = state.runs.get(keyOf(event));
      if (!run || !isLive(run)) return NOTHING;
      if (event.kind === 'probed') return run.live.finishing ? NOTHING : decideProbe(run, event.probe, nowMs);
      if (event.kind === 'signal-missed') return decideMissed(run);
      if (event.kind === 'collected') return end(run, outcomeOf(run, event.probe, event.collected, nowMs));
      return end(run, notStarted('refused', event.detail));
    }
  }
}

/** Takes each number once and in order; behind a gap it waits for the missing one, which comes until it is acked. */
function decideCommands(state: State, commands: readonly RunnerCommand[]): Decision {
  const facts: Fact[] = [];
  const effects: Effect[] = [];
  let after = state;
  for (const command of [...commands].sort((left, right) => left.number - right.number)) {
    if (command.number !== after.lastTaken + 1) continue;
    const before = after;
    const fact: Fact = { kind: 'taken', number: command.number, command: journaled(command) };
    facts.push(fact);
    after = apply(after, fact);
    if (command.kind === 'start') {
      const run = after.runs.get(keyOf(command));
      if (run && isLive(run) && !before.runs.has(keyOf(command))) effects.push({ kind: 'start', command });
    } else {
      effects.push(...probes(liveRuns(after).filter((run) => run.cancel && !before.runs.get(keyOf(run))?.cancel)));
    }
  }
  return { facts, effects };
}

function journaled(command: RunnerCommand): TakenCommand {
  switch (command.kind) {
    case 'start': {
      const { kind, runId, attempt, maxOutputBytes, impossible } = command;
      return { kind, runId, attempt, maxOutputBytes, ...(impossible !== undefined && { impossible }) };
    }
    case 'cancel': {
      const { kind, runId, attempt, cause, interruptMs, terminateMs } = command;
      return { kind, runId, attempt, cause, interruptMs, terminateMs };
    }
    case 'stop-vm':
      return { kind: 'stop-vm' };
    default:
      return { kind: 'unknown' };
  }
}

function decideAcknowledged(state: State, acknowledged: readonly Address[]): Decision {
  const known = acknowledged.filter((address) => {
    const run = state.runs.get(keyOf(address));
    return run !== undefined && !isLive(run);
  });
  return {
    facts: known.map(({ runId, attempt }) => ({ kind: 'acknowledged', runId, attempt })),
    effects: known.map(({ runId, attempt }) => ({ kind: 'forget', runId, attempt })),
  };
}

function decideProbe(run: Run, probe: Probe, nowMs: number): Decision {
  const { runId, attempt } = run;
  if (probe.shim === 'refused') {
    const detail = run.cancel
      ? (run.cancel.detail ?? 'Cancelled before its process was started.')
      : 'The start was taken, but no process of it was ever started, and none will be.';
    return end(run, notStarted('refused', detail));
  }
  // Before the shim has claimed it, a start can still be taken back with certainty.
  if (probe.shim === 'absent' || (probe.shim === 'booting' && run.cancel)) {
    return { facts: [], effects: [{ kind: 'refuse', runId, attempt }] };
  }
  if (probe.shim === 'booting') return NOTHING;
  const lost = probe.shim === 'dead' && (!probe.workAlive || probe.preparing !== undefined);
  if (probe.exit || lost) {
    const killAtOnce = run.signals.some(({ signal }) => signal === 'SIGKILL');
    return {
      facts: [observed(run, { ...liveOf(run, probe), finishing: true })],
      effects: [{ kind: 'collect', runId, attempt, probe, killAtOnce }],
    };
  }
  const live = liveOf(run, probe);
  // It is just starting, or it has just ended and the shim is about to say how.
  const told = probe.preparing ? run.signals.length >= SIGNALS.length : probe.started || run.cancel;
  if (!probe.workAlive && told) return awaitShim(run, live, nowMs);
  const { hungAtMs: _, ...lively } = live;
  if (run.cancel) return escalate(run, run.cancel, lively, nowMs);
  return { facts: changed(run, lively), effects: [] };
}

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGKILL'] as const;
/** A shim that has nothing to wait for any more and still does not report within this time hangs. */
const SHIM_PATIENCE_MS = 60_000;

function awaitShim(run: Run, seen: Live, nowMs: number): Decision {
  const { runId, attempt } = run;
  const hungAtMs = seen.hungAtMs ?? nowMs + SHIM_PATIENCE_MS;
  const effects: Effect[] = nowMs >= hungAtMs ? [{ kind: 'kill-all', runId, attempt }] : [];
  return { facts: changed(run, { ...seen, hungAtMs }), effects };
}

/** SIGKILL is sent again this often while processes with the mark are still there. */
const KILL_AGAIN_MS = 500;

/** The next step in ending the work: SIGINT at once, SIGTERM after the first wait, SIGKILL after the second. */
function escalate(run: Run, cancel: Cancel, live: Live, nowMs: number): Decision {
  const { runId, attempt } = run;
  const sent = run.signals.length;
  const waitMs = [cancel.interruptMs, cancel.terminateMs][sent - 1] ?? KILL_AGAIN_MS;
  const wait = (ms: number): Decision => ({ facts: changed(run, { ...live, escalateAtMs: nowMs + ms }), effects: [] });
  const writtenDown = sent < SIGNALS.length;
  const send = (signal: NodeJS.Signals, nextMs: number): Decision => ({
    // SIGKILL may have to be sent over and over, to whatever has been forked meanwhile; it is written down once.
    facts: [
      ...(writtenDown ? [{ kind: 'signal' as const, runId, attempt, signal, monotonicMs: nowMs }] : []),
      observed(run, { ...live, escalateAtMs: nowMs + nextMs }),
    ],
    effects: [{ kind: 'send-signal', runId, attempt, signal, writtenDown }],
  });
  if (sent === 0) return send('SIGINT', cancel.interruptMs);
  // After a restart of the runner the step that had begun gets its whole time again.
  if (live.escalateAtMs === undefined) return wait(waitMs);
  if (nowMs < live.escalateAtMs) return { facts: changed(run, live), effects: [] };
  const signal = SIGNALS[sent] ?? 'SIGKILL';
  return send(signal, sent === 1 ? cancel.terminateMs : KILL_AGAIN_MS);
}

/** A signal that nobody got must not stand as the cause of the end. */
function decideMissed({ runId, attempt, signals }: Run): Decision {
  return signals.length === 0 ? NOTHING : { facts: [{ kind: 'signal-missed', runId, attempt }], effects: [] };
}

function liveOf(run: Run, probe: Probe): Live {
  const { pid, startedMonotonicMs, bootId } = probe.started ?? {};
  const { preparing: _, ...before } = run.live;
  return {
    ...before,
    ...(probe.preparing !== undefined && { preparing: probe.preparing }),
    ...(pid !== undefined && { pid }),
    ...(startedMonotonicMs !== undefined && { startedMonotonicMs }),
    ...(bootId !== undefined && { bootId }),
    ...(probe.shim === 'dead' && { orphaned: true }),
  };
}

const observed = ({ runId, attempt }: Run, live: Live): Fact => ({ kind: 'observed', runId, attempt, live });

function changed(run: Run, live: Live): Fact[] {
  const names = ['pid', 'preparing', 'orphaned', 'escalateAtMs', 'hungAtMs'] as const;
  return names.some((name) => run.live[name] !== live[name]) ? [observed(run, live)] : [];
}

function end({ runId, attempt }: Run, outcome: Outcome): Decision {
  return { facts: [{ kind: 'outcome', runId, attempt, outcome }], effects: [] };
}

const probes = (runs: readonly Run[]): Effect[] =>
  runs.map(({ runId, attempt }) => ({ kind: 'probe', runId, attempt }));

/** The verdict on a run whose processes are all gone and whose output has been seen to. */
function outcomeOf(run: Run, probe: Probe, collected: Collected, nowMs: number): Outcome {
  const { exit, detail } = probe;
  const unprepared = exit?.notStarted ?? (!exit && probe.preparing && shimDied(probe.preparing));
  if (unprepared) return unpreparedOutcome(run, exit, unprepared, collected);
  const { pid, startedMonotonicMs, bootId } = run.live;
  const { output, outputTruncatedBytes, logChunks, artifacts, remarks } = collected;
  const unwritten = exit?.unwrittenBytes ? `${exit.unwrittenBytes} bytes of output could not be written to disk.` : '';
  const details = [exit?.spawnError, exit ? undefined : detail, run.cancel?.detail, unwritten, ...remarks].filter(
    (text) => !!text,
  );
  const signalled = signalsBefore(run, exit).length > 0;
  return {
    state: exit ? 'ended' : 'gone',
    ...(pid !== undefined && { pid }),
    ...(startedMonotonicMs !== undefined && { startedMonotonicMs }),
    bootId: exit?.bootId ?? bootId ?? '',
    endedMonotonicMs: exit?.endedMonotonicMs ?? nowMs,
    ...(exit?.exitCode !== undefined && { exitCode: exit.exitCode }),
    ...(exit?.signal !== undefined && { signal: exit.signal }),
    ...(exit && { terminatedBy: terminatedBy(exit, signalled ? run.cancel : undefined) }),
    ...(output !== undefined && { output }),
    ...(outputTruncatedBytes !== undefined && { outputTruncatedBytes }),
    logChunks,
    ...(artifacts?.length && { artifacts }),
    ...(details.length > 0 && { detail: details.join(' ') }),
  };
}

const shimDied = (because: NotStartedBecause): NonNullable<ExitReport['notStarted']> => ({
  because,
  detail: 'The shim died before it had started the command.',
});

function unpreparedOutcome(
  run: Run,
  exit: ExitReport | undefined,
  { because, detail }: NonNullable<ExitReport['notStarted']>,
  { logChunks, remarks }: Collected,
): Outcome {
  // What was ended on purpose has not failed.
  const cancelled = run.cancel !== undefined && signalsBefore(run, exit).length > 0;
  const why = cancelled ? [run.cancel?.detail ?? 'Cancelled before its process was started.', detail] : [detail];
  return { ...notStarted(cancelled ? 'refused' : because, [...why, ...remarks].join(' ')), logChunks };
}

function terminatedBy(exit: ExitReport, cancel: Cancel | undefined): TerminatedBy {
  if (cancel) return cancel.cause;
  if (exit.signal === undefined) return 'self';
  return exit.oomKilled ? 'oom' : 'signal';
}

/** The signals that can have had a part in the end: those that were sent before it. */
function signalsBefore(run: Run, exit: ExitReport | undefined): readonly { readonly signal: string }[] {
  if (!exit) return run.signals;
  return run.signals.filter(({ monotonicMs }) => monotonicMs <= exit.endedMonotonicMs);
}
