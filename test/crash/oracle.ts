/** What must hold once all runs have ended, by the witness that the work itself left and the deaths that we brought about. */
import fs from 'node:fs';
import { isDeepStrictEqual } from 'node:util';
import { dynamoClient } from '../../adapters/aws/client.ts';
import { DynamoStore } from '../../adapters/aws/store.ts';
import type { ListBody } from '../../core/contract/common.ts';
import {
  type EventBody,
  isTerminal,
  type LogPageBody,
  type LogRecordBody,
  type RunBody,
  type RunStatus,
} from '../../core/contract/runs.ts';
import type { ScheduleBody } from '../../core/contract/schedules.ts';
import { agentLimitId } from '../../core/limits/model.ts';
import * as keys from '../../core/table/itemKeys.ts';
import type { Item } from '../../core/table/model.ts';
import { type CrashMachine, type Kill, waitFor } from './machine.ts';
import { engineEndpoint, type Role } from './processes.ts';
import type { Orders } from './work.ts';

export interface WitnessLine {
  readonly event: 'start' | 'end';
  readonly runId: string;
  readonly attempt: number;
  /** The pid of a start, the exit code of an end. */
  readonly detail: number;
  readonly atMs: number;
  readonly tag: string;
}

export function readWitness(file: string): readonly WitnessLine[] {
  if (!fs.existsSync(file)) return [];
  const lines = fs.readFileSync(file, 'utf8').split('\n').slice(0, -1);
  return lines.map((line) => {
    const [event = '', runId = '', attempt = '', detail = '', atMs = '', tag = ''] = line.split(' ');
    return {
      event: event as 'start' | 'end',
      runId,
      attempt: Number(attempt),
      detail: Number(detail),
      atMs: Number(atMs),
      tag,
    };
  });
}

/** What is known about a run besides what Candor says of it. */
export interface Context {
  readonly witness: readonly WitnessLine[];
  readonly kills: readonly Kill[];
  /** Runs for which somebody asked for a cancel, whether or not the request got through. */
  readonly cancelled: ReadonlySet<string>;
  /** `candor dev` was told to stop in order, which ends live runs. */
  readonly stopped: boolean;
}

/** Everything that is wrong with what Candor says of this run. */
export function judgeRun(run: RunBody, context: Context): readonly string[] {
  const lines = context.witness.filter(({ runId }) => runId === run.id);
  const starts = lines.filter(({ event }) => event === 'start');
  const wrong: string[] = [];
  const claim = (holds: boolean, what: string) => {
    if (!holds) wrong.push(`${run.id} (attempt ${run.attempt}, ${run.status} ${run.reason ?? ''}): ${what}`);
  };
  for (const attempt of new Set(starts.map((line) => line.attempt))) {
    const times = starts.filter((line) => line.attempt === attempt).length;
    claim(times === 1, `attempt ${attempt} was started ${times} times`);
  }
  claim(new Set(starts.map((line) => line.attempt)).size <= 1, 'the work was started under more than one attempt');
  const start = starts.find((line) => line.attempt === run.attempt);
  const end = lines.findLast((line) => line.event === 'end' && line.attempt === run.attempt);
  const died = (role: Role) =>
    context.kills.some(({ victims }) =>
      victims.some(
        (victim) => victim.role === role && victim.runId === run.id && (victim.attempt ?? run.attempt) === run.attempt,
      ),
    );
  if (run.exitCode !== undefined) {
    claim(start !== undefined, `it has exit code ${run.exitCode}, and the work was never started`);
    claim(end?.detail === run.exitCode, `it has exit code ${run.exitCode}, the witness says ${end?.detail}`);
  }
  if (run.correction?.exitCode !== undefined) {
    claim(
      end?.detail === run.correction.exitCode,
      `its correction says ${run.correction.exitCode}, not ${end?.detail}`,
    );
  }
  const neverStarted = () => claim(start === undefined, 'the witness says that it was started');
  switch (run.status) {
    case 'succeeded':
      claim(run.exitCode === 0, `its exit code is ${run.exitCode}`);
      break;
    case 'failed':
      if (run.reason === 'exit_code') claim(run.exitCode !== undefined && run.exitCode !== 0, 'it has no exit code');
      else if (run.reason === 'signal') claim(died('agent') || died('shim'), 'nobody killed the work');
      else if (run.reason === 'not_started') neverStarted();
      else claim(false, `nothing that we did explains this reason: ${run.evidence.detail}`);
      break;
    case 'cancelled':
      claim(context.cancelled.has(run.id) || context.stopped, 'nobody asked for a cancel');
      if (run.terminatedBy === undefined) neverStarted();
      claim(run.terminatedBy !== 'self', 'it ended by itself');
      break;
    case 'lost':
      claim(died('shim'), `its shim was not killed: ${run.evidence.detail}`);
      break;
    default:
      claim(false, `it must not have this status: ${run.evidence.detail}`);
  }
  return wrong;
}

/** A run's events have no gap, exactly one of them is an end, and it is the one that the run shows. */
async function judgeEvents(machine: CrashMachine, run: RunBody): Promise<readonly string[]> {
  const { items } = await machine.get<ListBody<EventBody>>(`/v1/runs/${run.id}/events?limit=100`);
  const ends = items.filter(({ type }) => isTerminal(type.replace(/^run\./, '') as RunStatus)).map(({ type }) => type);
  return [
    ...(items.every(({ sequence }, index) => sequence === index + 1) ? [] : [`${run.id}: its events have gaps`]),
    ...(isDeepStrictEqual(ends, [`run.${run.status}`]) ? [] : [`${run.id}: its ends are ${JSON.stringify(ends)}`]),
  ];
}

/** Output that was written before an end that Candor knows of is all there, once, in order. */
async function judgeOutput(machine: CrashMachine, run: RunBody): Promise<readonly string[]> {
  const { tag, lines } = run.input as unknown as Orders;
  const records: LogRecordBody[] = [];
  let cursor = '0';
  const whole = await waitFor(`the log of ${run.id}`, 15_000, async () => {
    const page = await machine.get<LogPageBody>(`/v1/runs/${run.id}/logs?cursor=${cursor}`);
    records.push(...page.items);
    cursor = page.nextCursor;
    return page.complete;
  }).catch(() => false);
  const said = records.filter(({ stream }) => stream === 'stdout').map(({ text }) => text ?? '');
  const expected = Array.from({ length: lines }, (_, index) => `${tag} line ${index + 1}\n`).join('');
  const output = { tag, attempt: run.attempt };
  return [
    ...(whole ? [] : [`${run.id}: its log is never complete`]),
    ...(said.join('') === expected
      ? []
      : [`${run.id}: its log is not what it wrote: ${JSON.stringify(said.join(''))}`]),
    ...(isDeepStrictEqual(run.output, output) ? [] : [`${run.id}: its output is ${JSON.stringify(run.output)}`]),
  ];
}

export async function judgeRecords(
  machine: CrashMachine,
  run: RunBody,
  { kills }: Context,
): Promise<readonly string[]> {
  const shimDied = kills.some(({ victims }) => victims.some(({ role, runId }) => role === 'shim' && runId === run.id));
  const saidItAll = run.terminatedBy === 'self' && !shimDied;
  const [events, output] = await Promise.all([judgeEvents(machine, run), saidItAll ? judgeOutput(machine, run) : []]);
  return [...events, ...output];
}

/** Never more at work at once than the agent's limit. Work without an end counts for the moment of its start only. */
export function judgeConcurrency(
  runs: readonly RunBody[],
  witness: readonly WitnessLine[],
  agentId: string,
  maximum: number,
): readonly string[] {
  const ids = new Set(runs.filter((run) => run.agentId === agentId).map(({ id }) => id));
  const changes = [...ids].flatMap((id) => {
    const [start] = witness.filter((line) => line.runId === id && line.event === 'start');
    const end = witness.findLast((line) => line.runId === id && line.event === 'end');
    if (start === undefined) return [];
    return [
      { atMs: start.atMs, by: 1 },
      { atMs: end?.atMs ?? start.atMs, by: -1 },
    ];
  });
  // What ends in the same millisecond ends first: the clock is no finer.
  changes.sort((left, right) => left.atMs - right.atMs || left.by - right.by);
  let atWork = 0;
  let most = 0;
  for (const { by } of changes) {
    atWork += by;
    most = Math.max(most, atWork);
  }
  return most <= maximum ? [] : [`${most} runs of ${agentId} were at work at once; its limit is ${maximum}`];
}

/** What stands in a partition of the table, past Candor. */
function itemsOf(machine: CrashMachine, pk: string): Promise<readonly Item[]> {
  return waitFor(`the items of ${pk}`, 30_000, async () => {
    const endpoint = engineEndpoint(machine.dataDir);
    if (endpoint === undefined) return undefined;
    const client = dynamoClient({ endpoint });
    try {
      return (await new DynamoStore(client, 'candor').query({ pk, limit: 1000 })).items;
    } catch {
      return undefined;
    } finally {
      client.destroy();
    }
  });
}

/** With no run alive nothing holds or waits for a place, by the table itself. */
export async function judgeCounters(machine: CrashMachine, agentIds: readonly string[]): Promise<readonly string[]> {
  const wrong: string[] = [];
  for (const agentId of agentIds) {
    const items = await itemsOf(machine, keys.limit(agentLimitId(agentId)).pk);
    const left = items.filter(({ sk, used }) => (sk === keys.limit('').sk ? used !== 0 : true));
    if (left.length > 0) wrong.push(`no run is alive, and the limit of ${agentId} holds ${JSON.stringify(left)}`);
  }
  return wrong;
}

/** With no VM left none is on offer, and with no run alive none waits for one. */
export async function judgeMarks(machine: CrashMachine, agentIds: readonly string[]): Promise<readonly string[]> {
  const wrong: string[] = [];
  for (const agentId of agentIds) {
    const items = await itemsOf(machine, keys.agent(agentId).pk);
    const left = items.filter(({ sk }) => /^(FREE|WANT)#/.test(sk)).map(({ sk }) => sk);
    if (left.length > 0) wrong.push(`no VM is left, and ${agentId} has the marks ${left.join(', ')}`);
  }
  return wrong;
}

/** With no run alive no schedule counts one as alive. */
export async function judgeSchedules(
  machine: CrashMachine,
  scheduleIds: readonly string[],
): Promise<readonly string[]> {
  const schedules = await Promise.all(scheduleIds.map((id) => machine.get<ScheduleBody>(`/v1/schedules/${id}`)));
  return schedules
    .filter(({ liveRuns }) => liveRuns.length > 0)
    .map(({ id, liveRuns }) => `no run is alive, and schedule ${id} counts ${liveRuns.join(', ')}`);
}
