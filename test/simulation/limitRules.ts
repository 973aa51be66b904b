/** What holds for limits (I10): counter, places and what they stand for agree, and none is more than the most there was. */
import type { AgentRow } from '../../core/agents/model.ts';
import { isTerminal } from '../../core/contract/runStatus.ts';
import { limitsOf } from '../../core/limits/model.ts';
import type { ExecutionInput } from '../../core/ports.ts';
import type { RunRow } from '../../core/runs/model.ts';
import * as keys from '../../core/table/itemKeys.ts';
import { wants } from '../../core/vms/free.ts';
import type { Commit } from './invariants.ts';
import type { Simulation } from './world.ts';

export class LimitRules {
  readonly #world: Simulation;
  /** The highest maximum that each limit has had: a maximum that is lowered ends nobody's work. */
  readonly #maximum = new Map<string, number>();

  constructor(world: Simulation) {
    this.#world = world;
  }

  committed({ inc, changes }: Commit): void {
    const touched = new Set<string>();
    for (const { key, after, before, write } of changes) {
      if (key.pk.startsWith('LIM#')) touched.add(key.pk.slice(4));
      if (key.pk.startsWith('LIM#') && write.kind === 'update' && write.set?.used !== undefined)
        this.#world.leaks.corrected(key.pk.slice(4));
      if (key.sk !== 'META') continue;
      if (key.pk.startsWith('RUN#') && after !== undefined) this.#letIn(inc.kind, after as unknown as RunRow);
      if (key.pk.startsWith('AGT#') && after !== undefined) this.#agent(after as unknown as AgentRow);
      if (key.pk.startsWith('RUN#') || key.pk.startsWith('VM#'))
        for (const row of [before, after] as unknown as readonly (
          | {
              readonly admitted?: readonly string[];
              readonly kept?: readonly string[];
              readonly places?: readonly string[];
            }
          | undefined
        )[])
          for (const id of [...(row?.admitted ?? []), ...(row?.kept ?? []), ...(row?.places ?? [])]) touched.add(id);
    }
    for (const limitId of touched) this.#check(inc.kind, limitId);
  }

  /** An execution is started: by then its attempt has been let in. */
  started({ runId, attempt }: ExecutionInput): void {
    const run = this.#world.checker.runs.rows.get(runId);
    if (run === undefined || run.attempt !== attempt) return;
    const broken = (invariant: string, what: string) =>
      this.#world.broken(invariant, `the execution of ${runId} attempt ${attempt} is started, and ${what}`);
    if (isOutside(run)) broken('I10', 'nobody has let it in');
    if (this.#isTooSoon(run)) broken('§5.4', 'its time has not come');
  }

  /** No limit has let it in: it is on no way to a VM. And among those who wait for one stands who does, and nobody else. */
  #letIn(kind: string, run: RunRow): void {
    const fail = (what: string) => this.#world.broken('I10', `${kind}: ${run.id} ${what}`);
    const isLive = !isTerminal(run.status);
    if (isOutside(run) && isLive && (run.status !== 'queued' || wants(run)))
      fail(`is ${run.status}, waits for ${run.waiting?.reason}, and nobody has let it in`);
    if (isLive && run.vmId !== undefined && this.#isTooSoon(run))
      this.#world.broken('§5.4', `${kind}: ${run.id} has ${run.vmId} for attempt ${run.attempt} before its time`);
    const mark = this.#world.table.get(keys.wantingRun(run.agentId, run.agentVersion, run.queuedAt, run.id));
    if ((mark !== undefined) !== (isLive && wants(run)))
      fail(
        `is ${run.status}, waits for ${run.waiting?.reason}, and ${mark === undefined ? 'has no' : 'has a'} mark of it`,
      );
  }

  /** By any clock that is allowed. */
  #isTooSoon = (run: RunRow): boolean => (run.attemptAt ?? 0) > this.#world.time.now + this.#world.apartMs;

  #agent(agent: AgentRow): void {
    for (const { id, maximum } of limitsOf(this.#world.config, agent))
      this.#maximum.set(id, Math.max(maximum, this.#maximum.get(id) ?? 0));
  }

  #check(kind: string, limitId: string): void {
    const { table, checker, leaks } = this.#world;
    const { places, tooMany } = leaks.at(limitId);
    const fail = (what: string) => this.#world.broken('I10', `${kind}: the limit ${limitId} ${what}`);
    const pk = `LIM#${limitId}`;
    const used = Number(table.get({ pk, sk: 'META' })?.used ?? 0) - tooMany;
    const holders = table.query({ pk, prefix: 'HOLD#', limit: 1000 }).items.map(({ sk }) => sk.slice(5));
    const most = this.#maximum.get(limitId);
    if (most !== undefined && used - places.length > most) fail(`counts ${used}, and its maximum is ${most}`);
    if (used !== holders.length) fail(`counts ${used}, and ${holders.length} hold a place`);
    const expected = new Set<string>(places);
    for (const id of checker.runs.live) {
      const run = checker.runs.rows.get(id);
      if ((run?.admitted ?? run?.kept ?? []).includes(limitId)) expected.add(id);
    }
    for (const vm of checker.vms.rows.values())
      if (vm.status !== 'terminated' && vm.places?.includes(limitId) === true) expected.add(vm.id);
    const ended = holders.filter((id) => {
      const run = checker.runs.rows.get(id);
      return run !== undefined && isTerminal(run.status);
    });
    if (ended.length > 0) fail(`is held by ${ended.join(', ')}, which has ended`);
    if (holders.length !== expected.size || holders.some((id) => !expected.has(id)))
      fail(`is held by [${holders.join(', ')}] instead of [${[...expected].join(', ')}]`);
  }
}

/** Under limits, and let in by none of them. */
const isOutside = (run: RunRow): boolean => run.limited === true && run.admitted === undefined;
