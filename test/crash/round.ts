/** One round: some runs, some deaths, and when everything has come to rest, the questions to the witness. */
import type { AgentBody } from '../../core/contract/agents.ts';
import type { ListBody } from '../../core/contract/common.ts';
import { isTerminal, type RunBody, type VmBody } from '../../core/contract/runs.ts';
import type { OccurrenceBody, ScheduleBody } from '../../core/contract/schedules.ts';
import { type CrashMachine, sleep, waitFor } from './machine.ts';
import {
  type Context,
  judgeConcurrency,
  judgeCounters,
  judgeMarks,
  judgeRecords,
  judgeRun,
  judgeSchedules,
  readWitness,
} from './oracle.ts';
import type { Order, Program } from './plan.ts';
import type { Points } from './points.ts';
import type { Role } from './processes.ts';
import type { Random } from './random.ts';
import type { Orders } from './work.ts';

const LIMIT = 2;
/** Over this a run counts as stuck. */
const REST_LIMIT_MS = 60_000;
const VM_LIMIT_MS = 60_000;
const VICTIMS_LIMIT_MS = 6000;

/** One with a limit, one without, and one whose VMs are kept for the next run. */
type AgentName = 'limited' | 'unlimited' | 'warm';

/** One data folder, and what was asked of it in all its rounds so far. */
export interface Site {
  readonly machine: CrashMachine;
  /** Ids of its agents, once there are some. */
  agents: Readonly<Record<AgentName, string>> | undefined;
  /** Runs that have been looked at in an earlier round. */
  readonly judged: Set<string>;
  readonly cancelled: Set<string>;
  readonly schedules: Set<string>;
  /** It was told to stop in order at least once. */
  stopped: boolean;
  rounds: number;
  lastRound: number;
  lastPlan: RoundPlan | undefined;
}

export function newSite(machine: CrashMachine): Site {
  return {
    machine,
    agents: undefined,
    judged: new Set(),
    cancelled: new Set(),
    schedules: new Set(),
    stopped: false,
    rounds: 0,
    lastRound: 0,
    lastPlan: undefined,
  };
}

export interface RoundPlan {
  readonly label: string;
  readonly orders: readonly Order[];
  /** Kills at random moments. */
  readonly kills: readonly { readonly afterMs: number; readonly roles: readonly Role[] }[];
  /** A clean stop at some moment, with work alive. */
  readonly stopAfterMs?: number;
  readonly work: readonly Piece[];
}

interface Piece {
  readonly orders: Omit<Orders, 'witness'>;
  readonly agent: AgentName;
  /** By a request, by hand from a schedule, or when a schedule is due. */
  readonly by: 'api' | 'trigger' | 'occurrence';
  readonly afterMs: number;
  readonly cancelAfterMs?: number;
}

export interface RoundResult {
  readonly findings: readonly string[];
  readonly runs: readonly RunBody[];
  /** The data folder cannot be used any further. */
  readonly stuck: boolean;
}

const PAIRS: readonly (readonly Role[])[] = [
  ['control'],
  ['runner'],
  ['agent'],
  ['shim'],
  ['engine'],
  ['control', 'runner'],
  ['control', 'agent'],
  ['control', 'shim'],
  ['runner', 'agent'],
  ['runner', 'shim'],
  ['shim', 'agent'],
  ['control', 'engine'],
];
/** Who dies at a failpoint, in turn. A runner's death costs the least time, and that of a shim the most evidence. */
const MIX: readonly Program[] = ['control', 'runner', 'control', 'shim', 'runner', 'control', 'runner', 'shim'];
const COMPANIONS: readonly Role[] = ['control', 'runner', 'shim', 'agent'];

export interface Sizes {
  readonly orders: number;
  readonly runs: number;
  readonly chaos: boolean;
  /** Of a data folder. */
  readonly firstRound: boolean;
  /** Kill only at failpoints whose names contain this. */
  readonly at: string | undefined;
}

export function planRound(label: string, random: Random, points: Points, sizes: Sizes): RoundPlan {
  const orders = Array.from({ length: sizes.orders }, (_, index): Order => {
    const { point, phase } = points.choose(random, { ...sizes, program: MIX[index % MIX.length] ?? 'control' });
    const others = COMPANIONS.filter((role) => role !== point.program);
    return {
      id: `${label}-${index}`,
      program: point.program,
      point: point.name,
      phase,
      // Anywhere in the round, mostly at the first chance.
      skip: random.chance(0.5) ? 0 : random.below(Math.min(6, Math.ceil(points.hitsPerRound(point)))),
      also: random.chance(0.25) ? [random.pick(others)] : [],
    };
  });
  const randomKill = () => ({ afterMs: random.below(1500), roles: random.pick(PAIRS) });
  const kills = sizes.chaos ? Array.from({ length: random.below(3) }, randomKill) : [];
  return {
    label,
    orders,
    kills,
    ...(sizes.chaos && random.chance(0.12) && { stopAfterMs: random.below(1200) }),
    work: Array.from({ length: sizes.runs }, (_, index) => planPiece(`${label}.${index}`, random)),
  };
}

function planPiece(tag: string, random: Random): Piece {
  const cancelled = random.chance(0.3);
  return {
    orders: {
      tag,
      workMs: random.below(cancelled ? 4000 : 500),
      lines: random.chance(0.5) ? random.below(200) : 0,
      exitCode: random.pick([0, 0, 0, 1, 7, 42]),
      grandchild: random.chance(0.25),
      ...(random.chance(0.3) && { interruptCode: 9 }),
    },
    agent: random.pick(['limited', 'unlimited', 'warm'] as const),
    by: random.pick(['api', 'api', 'api', 'trigger', 'occurrence']),
    afterMs: random.below(400),
    ...(cancelled && { cancelAfterMs: random.below(3000) }),
  };
}

export async function playRound(site: Site, round: number, plan: RoundPlan): Promise<RoundResult> {
  const { machine } = site;
  site.rounds++;
  site.lastRound = round;
  site.lastPlan = plan;
  const findings: string[] = [];
  try {
    const runs = await play(site, plan, findings);
    const fresh = runs.filter(({ id }) => !site.judged.has(id));
    for (const { id } of fresh) site.judged.add(id);
    return { findings: [...findings, ...machine.problems()], runs: fresh, stuck: false };
  } catch (error) {
    const text = error instanceof Error ? error.message : String(error);
    const answer = await machine.tryRequest<ListBody<RunBody>>('GET', '/v1/runs?status=live&limit=100');
    const live = answer?.body.items?.map((run) => `${run.id} is ${run.status}: ${run.evidence.detail}`) ?? [
      'no answer',
    ];
    return {
      findings: [...findings, ...machine.problems(), `no rest: ${text}; ${live.join('; ')}`],
      runs: [],
      stuck: true,
    };
  }
}

async function play(site: Site, plan: RoundPlan, findings: string[]): Promise<readonly RunBody[]> {
  const { machine } = site;
  const accepted = new Set<string>();
  const stop = plan.stopAfterMs;
  machine.arm(plan.orders);
  site.agents ??= await openSite(machine);
  if (stop !== undefined) site.stopped = true;
  await Promise.all([
    ...plan.work.map((piece) => give(site, piece, accepted)),
    ...plan.kills.map(async ({ afterMs, roles }) => {
      await sleep(afterMs);
      // Until all of them are there to be killed together, if they ever are.
      await waitFor(roles.join(' and '), VICTIMS_LIMIT_MS, () => machine.killAtOnce(roles)).catch(() => undefined);
    }),
    stop === undefined ? undefined : sleep(stop).then(() => machine.askToStop()),
  ]);
  const runs = await untilRest(site, accepted, findings);
  machine.arm([]);
  findings.push(...(await judge(site, runs)));
  return runs;
}

/** The first start of all. */
async function openSite(machine: CrashMachine): Promise<Readonly<Record<AgentName, string>>> {
  machine.start();
  const command = [process.execPath, '--disable-warning=ExperimentalWarning', `${import.meta.dirname}/work.ts`];
  const limits = { maxConcurrentRuns: LIMIT };
  const unlimited = await machine.create<AgentBody>('/v1/agents', () => ({ command }));
  const limited = await machine.create<AgentBody>('/v1/agents', () => ({ command, limits }));
  const warm = await machine.create<AgentBody>('/v1/agents', () => ({ command, warmFor: 'PT2S' }));
  return { unlimited: unlimited.id, limited: limited.id, warm: warm.id };
}

/** Asks for one piece of work; whether the request got through may never be known. */
async function give(site: Site, piece: Piece, accepted: Set<string>): Promise<void> {
  const { machine } = site;
  const agentId = site.agents?.[piece.agent];
  const input: Orders = { ...piece.orders, witness: machine.witness };
  await sleep(piece.afterMs);
  if (piece.by === 'api') {
    const answer = await machine.tryRequest<RunBody>('POST', `/v1/agents/${agentId}/runs`, { input });
    await follow(site, piece, answer?.status === 202 ? answer.body.id : undefined, accepted);
    return;
  }
  const dueMs = piece.by === 'occurrence' ? 1500 : 3_600_000;
  const schedule = await machine.create<ScheduleBody>(`/v1/agents/${agentId}/schedules`, () => ({
    cadence: { at: new Date(Math.ceil((Date.now() + dueMs) / 1000) * 1000).toISOString() },
    overlapPolicy: 'allow_all',
    input,
  }));
  site.schedules.add(schedule.id);
  if (piece.by === 'occurrence') {
    const { runId } = await waitFor(`the occurrence of ${schedule.id}`, REST_LIMIT_MS, async () => {
      const url = `/v1/schedules/${schedule.id}/occurrences`;
      const { items } = await machine.get<ListBody<OccurrenceBody>>(url);
      return items.find(({ disposition }) => disposition !== 'buffered');
    });
    await follow(site, piece, runId, accepted);
    return;
  }
  const answer = await machine.tryRequest<RunBody>('POST', `/v1/schedules/${schedule.id}/trigger`, {});
  await follow(site, piece, answer?.status === 202 ? answer.body.id : undefined, accepted);
}

async function follow(site: Site, piece: Piece, runId: string | undefined, accepted: Set<string>): Promise<void> {
  if (runId === undefined) return;
  accepted.add(runId);
  if (piece.cancelAfterMs === undefined) return;
  await sleep(piece.cancelAfterMs);
  site.cancelled.add(runId);
  await site.machine.tryRequest('POST', `/v1/runs/${runId}/cancel`, { reason: 'crash test' });
}

async function allRuns(machine: CrashMachine): Promise<readonly RunBody[]> {
  const runs: RunBody[] = [];
  for (let cursor: string | undefined = ''; cursor !== undefined; ) {
    const page: ListBody<RunBody> = await machine.get(`/v1/runs?limit=100${cursor && `&cursor=${cursor}`}`);
    runs.push(...page.items);
    cursor = page.nextCursor;
  }
  return runs;
}

/** Waits until every run has ended. What has ended has no process any more, from the first moment that Candor says so. */
async function untilRest(site: Site, accepted: ReadonlySet<string>, findings: string[]): Promise<readonly RunBody[]> {
  const { machine, judged } = site;
  const ended = new Set<string>();
  return waitFor('the end of all runs', REST_LIMIT_MS, async () => {
    const runs = await allRuns(machine);
    const processes = machine.processes();
    for (const run of runs.filter(({ id, status }) => isTerminal(status) && !judged.has(id) && !ended.has(id))) {
      ended.add(run.id);
      const left = processes.filter(({ role, runId }) => role === 'agent' && runId === run.id);
      if (left.length > 0) findings.push(`${run.id} has ended (${run.status}), and ${JSON.stringify(left)} are alive`);
    }
    const ids = new Set(runs.map(({ id }) => id));
    const forgotten = [...accepted].filter((id) => !ids.has(id));
    if (forgotten.length > 0) throw new Error(`accepted and then unknown: ${forgotten.join(', ')}`);
    return runs.every(({ status }) => isTerminal(status)) && runs;
  });
}

async function judge(site: Site, runs: readonly RunBody[]): Promise<readonly string[]> {
  const { machine, cancelled, stopped, agents } = site;
  const witness = readWitness(machine.witness);
  const context: Context = { witness, kills: machine.kills(), cancelled, stopped };
  const fresh = runs.filter(({ id }) => !site.judged.has(id));
  const known = new Set(runs.map(({ id }) => id));
  const strangers = witness.filter(({ runId }) => !known.has(runId));
  const records = await Promise.all(fresh.map((run) => judgeRecords(machine, run, context)));
  return [
    ...strangers.map(({ runId, event }) => `the witness has a ${event} of ${runId}, which Candor does not know`),
    ...fresh.flatMap((run) => judgeRun(run, context)),
    ...records.flat(),
    ...(agents === undefined ? [] : judgeConcurrency(runs, witness, agents.limited, LIMIT)),
    ...(await judgeCounters(machine, Object.values(agents ?? {}))),
    ...(await judgeSchedules(machine, [...site.schedules])),
  ];
}

/** At the end of a data folder's rounds: every VM goes, and after a clean stop nothing is left at all. */
export async function closeSite({ machine, agents }: Site): Promise<readonly string[]> {
  const findings: string[] = [];
  await waitFor('the end of all VMs', VM_LIMIT_MS, async () => {
    const { items } = await machine.get<ListBody<VmBody>>('/v1/vms?limit=100');
    return (
      items.every(({ status }) => status === 'terminated') &&
      machine.processes().every(({ role }) => role === 'control' || role === 'engine')
    );
  }).catch((error: Error) => findings.push(`${error.message}: ${JSON.stringify(machine.processes())}`));
  findings.push(...(await judgeMarks(machine, Object.values(agents ?? {}))));
  await machine.stop();
  findings.push(...machine.problems());
  await machine.destroy();
  return findings;
}
