/** What cannot be delivered: found in its queue, looked at, and done again by the operator's own hand. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { InvokeCommand, LambdaClient } from '@aws-sdk/client-lambda';
import type { ListBody } from '../../../core/contract/common.ts';
import type { RunBody } from '../../../core/contract/runs.ts';
import type { OccurrenceBody, ScheduleBody } from '../../../core/contract/schedules.ts';
import { INSTALLATION } from '../cdk.ts';
import type { Scenario } from '../scenario.ts';
import { until, type World, witnessed } from '../world.ts';

const AHEAD_MS = 20_000;

const LAUNCHER = fileURLToPath(new URL('../../../cli/candor.mjs', import.meta.url));

interface Ended {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** The real command, with the emulator as its AWS. */
function dlq(world: World, ...args: readonly string[]): Promise<Ended> {
  const env = { PATH: process.env.PATH, ...world.awsEnvironment, CANDOR_INSTALLATION: INSTALLATION };
  return new Promise((resolve) => {
    execFile(process.execPath, [LAUNCHER, 'dlq', ...args], { env }, (error, stdout, stderr) =>
      resolve({ code: typeof error?.code === 'number' ? error.code : error === null ? 0 : -1, stdout, stderr }),
    );
  });
}

async function depth(world: World, queue: string): Promise<number> {
  const { code, stdout, stderr } = await dlq(world, 'list', '--json');
  assert.equal(code, 0, stderr);
  const { items } = JSON.parse(stdout) as { items: { queue: string; waiting: number }[] };
  return items.find((item) => item.queue === queue)?.waiting ?? Number.NaN;
}

/** As Scheduler calls on AWS: asynchronously, so that Lambda tries again and gives up into the queue. */
async function strike(world: World, { id }: ScheduleBody, scheduledTime: string): Promise<void> {
  const { AWS_ENDPOINT_URL: endpoint = '', AWS_REGION: region = '' } = world.awsEnvironment;
  const lambda = new LambdaClient({ endpoint, region, credentials: { accessKeyId: 'test', secretAccessKey: 'test' } });
  const Payload = JSON.stringify({ scheduleId: id, scheduledTime });
  await lambda.send(new InvokeCommand({ FunctionName: `${INSTALLATION}-fire`, InvocationType: 'Event', Payload }));
  lambda.destroy();
}

const failedFire: Scenario = {
  name: 'a fire that fails for good is a dead letter: listed, peeked at, redriven once the cause is gone, settled once',
  async play(world) {
    const agent = await world.worker();
    const orders = world.orders({ output: 'redriven' });
    const at = new Date(Math.ceil((Date.now() + AHEAD_MS) / 1000) * 1000).toISOString();
    const schedule = await world.schedule(agent, { cadence: { at }, catchupWindow: 'PT6H', input: orders });
    const fault = world.proxy.faults.order({
      service: 'dynamodb',
      action: 'BatchGetItem',
      effect: { kind: 'error', error: { code: 'AccessDeniedException', status: 400 } },
      when: ({ body }) => body.includes(`SCH#${schedule.id}`),
    });
    await until('the time of the occurrence', () => Date.now() > Date.parse(at));
    await strike(world, schedule, at);
    await until('the letter', async () => (await depth(world, 'fire')) === 1, 60);
    assert.ok(fault.met() >= 3, 'Lambda has tried three times');

    for (const _ of ['a first look', 'a second one']) {
      const { stdout } = await dlq(world, 'peek', 'fire');
      assert.match(stdout, new RegExp(`${schedule.id} .*AccessDenied`));
    }
    const early = await dlq(world, 'redrive', 'fire');
    assert.equal(early.code, 1, early.stdout);
    assert.match(early.stdout, /failed .*AccessDenied/);
    assert.equal(await depth(world, 'fire'), 1, 'what failed again is still there');

    fault.lift();
    const redriven = await dlq(world, 'redrive', 'fire');
    assert.equal(redriven.code, 0, redriven.stdout + redriven.stderr);
    assert.equal(redriven.stderr, '1 redriven.\n');
    assert.equal(await depth(world, 'fire'), 0);
    const again = await dlq(world, 'redrive', 'fire');
    assert.deepEqual([again.code, again.stdout, again.stderr], [0, '', 'There are none.\n']);

    const runs = await world.get<ListBody<RunBody>>(`/v1/schedules/${schedule.id}/runs`);
    assert.equal(runs.items.length, 1, 'one run');
    const [run] = runs.items;
    assert.ok(run);
    const ended = await world.ended(run);
    assert.equal(ended.status, 'succeeded');
    assert.deepEqual(witnessed(orders), ['start', 'end 0']);
    const { items } = await world.get<ListBody<OccurrenceBody>>(`/v1/schedules/${schedule.id}/occurrences`);
    assert.deepEqual(
      items.map(({ disposition, runId }) => [disposition, runId]),
      [['dispatched', run.id]],
    );
    await world.vmGone(ended);
  },
};

export const deadLetterScenarios: readonly Scenario[] = [failedFire];
