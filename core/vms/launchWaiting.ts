/** What a launch that brought no VM leaves behind: a closed intent, and a run that says what it waits for (design.md §5.3). */
import { isTerminal } from '../contract/runs.ts';
import { GuardFailed } from '../errors.ts';
import type { ExecutionInput, Ports } from '../ports.ts';
import { changeRun, nextEventKey } from '../runs/change.ts';
import type { RunRow } from '../runs/model.ts';
import { commit } from '../table/commit.ts';
import * as keys from '../table/itemKeys.ts';
import { eq, guard, type Key, type Value, type Write } from '../table/model.ts';
import { asRow, asValue } from '../table/rows.ts';
import { changeVm, vmProof } from './change.ts';
import { wantingMark } from './free.ts';
import { type LaunchFailed, LaunchMisconfigured, pauseMsMax, type Tried } from './launchErrors.ts';
import { closedIntent, type VmRow } from './model.ts';
import { gathered, triedOf } from './tried.ts';

/** Any answer closes the intent: the next try is a new number. The run says what it waits for. */
export function noteLaunchFailure(
  ports: Ports,
  input: ExecutionInput,
  asked: VmRow,
  error: LaunchFailed,
  heard: readonly Tried[],
): Promise<void> {
  return closing(ports, asked, async (writer, now) => {
    const run = asRow<RunRow>(await ports.store.get(keys.run(input.runId)));
    if (run === undefined) return undefined;
    const waits = waitingWrites(ports, run, input, { error, heard, now }, writer);
    return { writes: waits.writes, ...(waits.isNews && { proof: nextEventKey(run) }) };
  });
}

/** Closes the intent, and says nothing: the next request follows at once. */
export const closeIntent = (ports: Ports, asked: VmRow): Promise<void> => closing(ports, asked, async () => undefined);

type More = (
  writer: string,
  now: number,
) => Promise<{ readonly writes: readonly Write[]; readonly proof?: Key } | undefined>;

function closing(ports: Ports, asked: VmRow, more: More): Promise<void> {
  return commit<void>(ports, async (writer) => {
    const vm = asRow<VmRow>(await ports.store.get(keys.vm(asked.id)));
    if (vm === undefined || vm.intent.number !== asked.intent.number || !vm.intent.open) return { done: undefined };
    const now = ports.time.now();
    const change = { set: { intent: asValue(closedIntent(vm)) } };
    const added = await more(writer, now);
    return {
      writes: [...changeVm(ports.config, vm, change, now, writer), ...(added?.writes ?? [])],
      proof: added?.proof ?? vmProof(vm, change),
      result: undefined,
    };
  });
}

/** Nothing was asked for, or nobody knows what became of it: the intent stands as it does, and the run says why it waits. */
export async function noteWaiting(
  ports: Ports,
  input: ExecutionInput,
  error: LaunchFailed,
  heard: readonly Tried[],
): Promise<void> {
  const read = async () => asRow<RunRow>(await ports.store.get(keys.run(input.runId)));
  const told = await commit<boolean>(ports, async (writer) => {
    const run = await read();
    if (run === undefined) return { done: true };
    const { writes, isNews } = waitingWrites(ports, run, input, { error, heard, now: ports.time.now() }, writer);
    return isNews ? { writes, proof: nextEventKey(run), result: true } : { done: writes.length === 0 };
  });
  if (told) return;
  const run = await read();
  if (run === undefined) return;
  const { writes, isNews } = waitingWrites(ports, run, input, { error, heard, now: ports.time.now() }, '');
  // Only what is shown moves on; whoever has changed the run meanwhile knows better.
  if (!isNews && writes.length > 0)
    await ports.store.transact(writes).catch((failure: unknown) => {
      if (!(failure instanceof GuardFailed)) throw failure;
    });
}

interface Failure {
  readonly error: LaunchFailed;
  /** What earlier requests of the same call were told. */
  readonly heard: readonly Tried[];
  readonly now: number;
}

const REASONS: Readonly<Record<string, string>> = {
  QuotaExceeded: 'quota',
  LaunchPaced: 'launch_rate',
  LaunchThrottled: 'launch_rate',
};

interface Waiting {
  readonly writes: readonly Write[];
  /** It did not wait for this before: a change that leaves an event. */
  readonly isNews: boolean;
}

const NOTHING: Waiting = { writes: [], isNews: false };

/**
 * It waits from here on: not where a VM has taken it meanwhile, it has moved on, or waiting would not help. Where it waited
 * for the same already, what was tried and when it is tried next are brought up to date, and that is no event.
 */
function waitingWrites(ports: Ports, run: RunRow, input: ExecutionInput, failure: Failure, writer: string): Waiting {
  const { error, now } = failure;
  const waits = !isTerminal(run.status) && run.attempt === input.attempt && run.vmId === undefined;
  if (!waits || error instanceof LaunchMisconfigured) return NOTHING;
  const waiting = waitingFor(run, failure);
  if (run.waiting?.reason === waiting.reason) {
    const guards = [guard('waiting.runUnchanged', eq('version', run.version))];
    const update: Write = { kind: 'update', key: keys.run(run.id), set: { waiting: asValue(waiting) }, guards };
    return { writes: [update], isNews: false };
  }
  const { reason, tried } = waiting;
  const change = {
    type: 'run.waiting',
    set: { waiting: asValue(waiting) },
    detail: { reason, error: error.name, tried: tried.map((each) => ({ ...each })) },
  };
  return { writes: [...wantingMark(run), ...changeRun(ports.config, run, change, now, writer)], isNews: true };
}

function waitingFor(run: RunRow, { error, heard, now }: Failure) {
  const before = run.waiting?.tries;
  const tries: Record<string, Value> = { ...before, [error.name]: (before?.[error.name] ?? 0) + 1 };
  const pauseMs = pauseMsMax(error.name, Number(tries[error.name]));
  return {
    reason: REASONS[error.name] ?? 'capacity',
    tried: gathered(triedOf(run.waiting), [...heard, ...error.tried]),
    tries,
    ...(pauseMs !== undefined && { nextTryAt: now + pauseMs }),
  };
}
