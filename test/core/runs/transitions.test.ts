/** The transition table through the store: every (status, event) pair, brought about and asked for as in real life. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { RUN_STATUSES, type RunStatus, TERMINAL_STATUSES, type TerminalStatus } from '../../../core/contract/runs.ts';
import { CandorError } from '../../../core/errors.ts';
import { cancelRun } from '../../../core/runs/cancel.ts';
import { claimDispatch } from '../../../core/runs/dispatch.ts';
import { finishRun } from '../../../core/runs/finish.ts';
import { RUN_EVENTS, RUN_TRANSITIONS, type RunEvent } from '../../../core/runs/machine.ts';
import { nextAttempt } from '../../../core/runs/nextAttempt.ts';
import { createRun } from '../../../core/runs/service.ts';
import * as keys from '../../../core/table/itemKeys.ts';
import { launchVm } from '../../../core/vms/provision.ts';
import { type TestEngine, testEngine, type World } from '../../support/world.ts';
import { ended, eventsOf, type FakeRunner, running, runRow, startingFrom, upTo } from '../support.ts';

let engine: TestEngine;
beforeAll(async () => {
  engine = await testEngine();
});
afterAll(() => engine.stop());

interface Scene {
  readonly world: World;
  readonly id: string;
  /** The VM that holds the run's marker, or else one of the same agent that is warm and free. */
  readonly runner: FakeRunner;
}

/** A run in this status. Beside it there is a warm VM that another run of its agent has left. */
async function scene(status: RunStatus): Promise<Scene> {
  const world = await engine.world();
  const agent = await world.agent({ warmFor: 'PT10M', retry: { afterStart: true, maxAttempts: 5 } });
  const { id } = await createRun(world.ports, world.caller, agent.id, null);
  const other = await createRun(world.ports, world.caller, agent.id, null);
  const spare = await startingFrom(world, other.id);
  await spare.runner.beat([ended(other.id)]);
  const free = { world, id, runner: spare.runner };
  if (status === 'queued') return free;
  const input = { tenantId: world.caller.tenantId, runId: id, attempt: 1 };
  if (status === 'provisioning') {
    await launchVm(world.ports, input);
    return free;
  }
  const { runner } = await startingFrom(world, id);
  const own = { world, id, runner };
  if (status === 'starting') return own;
  await runner.beat();
  await runner.beat([running(id)]);
  if (status === 'running') return own;
  if (status === 'cancelling') await cancel(own);
  else await finish(own, status as TerminalStatus);
  return own;
}

const seen = (world: World) => ({ source: 'test', observedAt: new Date(world.now).toISOString(), detail: 'the test' });
const cancel = ({ world, id }: Scene) =>
  cancelRun(world.ports, world.caller, id, { by: 'me', reason: '', cause: 'request' });
const finish = ({ world, id }: Scene, status: TerminalStatus) =>
  finishRun(world.ports, id, { status, evidence: seen(world) }, { attempt: 1 });

/** Each event through the door that its owner uses. What is refused by name counts as an answer. */
const EVENTS: Readonly<Record<RunEvent, (scene: Scene) => Promise<unknown>>> = {
  provision: ({ world, id }) => launchVm(world.ports, { tenantId: world.caller.tenantId, runId: id, attempt: 1 }),
  dispatch: ({ world, id, runner }) => claimDispatch(world.ports, id, 1, runner.vmId),
  start: ({ id, runner }) => runner.beat([running(id)]),
  request_cancel: cancel,
  next_attempt: ({ world, id }) =>
    nextAttempt(world.ports, id, { attempt: 1, reason: 'test', evidence: seen(world), mayHaveStarted: true }),
  end: (at) => finish(at, 'succeeded'),
};

const REFUSALS: readonly string[] = ['RunMovedOn', 'CandorError'];
const refused = (error: unknown): boolean =>
  error instanceof CandorError || (error instanceof Error && REFUSALS.includes(error.name));

const VERDICT: Readonly<Partial<Record<RunEvent, TerminalStatus>>> = { request_cancel: 'cancelled', end: 'succeeded' };

const PAIRS = RUN_STATUSES.flatMap((status) => RUN_EVENTS.map((event) => [status, event] as const));

describe('every pair of status and event', () => {
  it.each(PAIRS)('%s, %s', async (status, event) => {
    const at = await scene(status);
    const before = await runRow(at.world, at.id);
    expect(before.status).toBe(status);
    const error: unknown = await EVENTS[event](at).then(
      () => undefined,
      (thrown: unknown) => thrown,
    );
    if (error !== undefined && !refused(error)) throw error;
    const after = await runRow(at.world, at.id);
    const answer = RUN_TRANSITIONS[status][event];
    if (answer.kind === 'go') {
      expect(error).toBeUndefined();
      expect(after.status).toBe(answer.to === 'verdict' ? VERDICT[event] : answer.to);
      expect(after.evidence).not.toEqual(before.evidence);
    } else {
      expect(after.status).toBe(status);
      // A terminal item is never touched; elsewhere an event that is illegal, or has had its effect, changes nothing.
      expect(after).toEqual(before);
    }
    const events = await eventsOf(at.world, keys.run(at.id).pk);
    expect(events.map((each) => each.sequence)).toEqual(upTo(after.version));
    const ends = events.filter((each) => TERMINAL_STATUSES.includes(each.status as RunStatus));
    expect(ends).toHaveLength(TERMINAL_STATUSES.includes(after.status) ? 1 : 0);
  });
});
