/**
 * Many fires in few calls, for a clock that has read the rows itself (one machine). Several fires share a transaction; the
 * row that the clock's query returned is what the decision reads, because the transaction's guards prove that it still
 * stands. Where one of them does not, the whole transaction is cancelled and each of its fires goes its own way.
 */
import type { PrincipalRow } from '../access/principals.ts';
import type { AgentRow } from '../agents/model.ts';
import { Contended, GuardFailed, StoreUnavailable } from '../errors.ts';
import type { Ports } from '../ports.ts';
import * as keys from '../table/itemKeys.ts';
import type { Write } from '../table/model.ts';
import { asRow } from '../table/rows.ts';
import { firstUndecided } from './expected.ts';
import { fire } from './fire.ts';
import type { ScheduleRow } from './model.ts';
import { decideStep, measure, type Settled, settlement, startSettled } from './settle.ts';

/** DynamoDB's limit of items in one transaction. */
const TRANSACTION_ITEMS = 100;
const CONCURRENT_TRANSACTIONS = 2;

interface Planned {
  readonly schedule: ScheduleRow;
  readonly settled: Settled;
  readonly writes: readonly Write[];
}

/** Fires the first due occurrence of each schedule. Answers the ids of those for which something was settled. */
export async function fireMany(ports: Ports, schedules: readonly ScheduleRow[]): Promise<ReadonlySet<string>> {
  const planned = await plan(ports, schedules);
  const groups = grouped(planned);
  const moved = new Set<string>();
  const worker = async () => {
    for (let group = groups.pop(); group !== undefined; group = groups.pop())
      for (const id of await commitGroup(ports, group)) moved.add(id);
  };
  await Promise.all(Array.from({ length: CONCURRENT_TRANSACTIONS }, worker));
  return moved;
}

async function plan(ports: Ports, schedules: readonly ScheduleRow[]): Promise<readonly Planned[]> {
  const principalIds = [...new Set(schedules.map((schedule) => schedule.createdBy))];
  const agentIds = [...new Set(schedules.map((schedule) => schedule.agentId))];
  const items = await ports.store.getMany([...principalIds.map(keys.principal), ...agentIds.map(keys.agent)]);
  const principals = new Map(principalIds.map((id, index) => [id, asRow<PrincipalRow>(items[index])]));
  const agents = new Map(agentIds.map((id, index) => [id, asRow<AgentRow>(items[principalIds.length + index])]));
  const now = ports.time.now();
  const writer = ports.ids.writer();
  const planned: Planned[] = [];
  // A transaction takes each item once.
  for (const schedule of new Map(schedules.map((each) => [each.id, each])).values()) {
    const due = firstUndecided(schedule);
    if (due === undefined || due > now) continue;
    const rows = { schedule, principal: principals.get(schedule.createdBy), agent: agents.get(schedule.agentId) };
    const settled = decideStep(ports, rows, due, now);
    const delivery = { scheduledTime: due, specVersion: schedule.specVersion };
    planned.push({ schedule, settled, writes: settlement(ports, rows, settled, delivery, now, writer).writes });
  }
  return planned;
}

function grouped(planned: readonly Planned[]): Planned[][] {
  const groups: Planned[][] = [];
  let group: Planned[] = [];
  let size = 0;
  for (const each of planned) {
    if (size + each.writes.length > TRANSACTION_ITEMS) {
      groups.push(group);
      group = [];
      size = 0;
    }
    group.push(each);
    size += each.writes.length;
  }
  if (group.length > 0) groups.push(group);
  return groups;
}

async function commitGroup(ports: Ports, group: readonly Planned[]): Promise<readonly string[]> {
  try {
    await ports.store.transact(group.flatMap((each) => each.writes));
  } catch (error) {
    const expected = error instanceof GuardFailed || error instanceof Contended || error instanceof StoreUnavailable;
    if (!expected) throw error;
    return oneByOne(ports, group);
  }
  for (const { settled } of group) {
    measure(ports, settled);
    await startSettled(ports, settled).catch((error: unknown) => {
      // It is committed and stands in the checks index: the watchdog places it.
      ports.log.warn('fire.not_placed', { runId: settled.runId, error: String(error) });
    });
  }
  return group.map((each) => each.schedule.id);
}

/** Each by itself reads anew, and tells what was lost from what was applied. */
async function oneByOne(ports: Ports, group: readonly Planned[]): Promise<readonly string[]> {
  const moved: string[] = [];
  for (const { schedule, settled } of group) {
    const hints = { agentId: schedule.agentId, principalId: schedule.createdBy, specVersion: schedule.specVersion };
    try {
      const result = await fire(ports, { scheduleId: schedule.id, scheduledTime: settled.at, ...hints });
      if (result.outcome !== 'ignored') moved.push(schedule.id);
    } catch (error) {
      ports.log.warn('clock.fire_failed', { scheduleId: schedule.id, error: String(error) });
    }
  }
  return moved;
}
