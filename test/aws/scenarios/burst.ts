/** Many runs at once, and few machines. */
import assert from 'node:assert/strict';
import type { RunBody } from '../../../core/contract/runs.ts';
import type { Scenario } from '../scenario.ts';
import { until } from '../world.ts';

const RUNS = 60;
const VMS = 6;
const BURST_LIMIT_SECONDS = 900;

const burst: Scenario = {
  name: `a burst of ${RUNS} runs against EC2's launch rate: VMs are reused, every run is done, none beyond the limit`,
  async play(world) {
    const before = world.host.instances().length;
    world.proxy.fleet.limitRate({ burst: 2, perSecond: 0.5 });
    const agent = await world.worker({ limits: { maxConcurrentVms: VMS }, warmFor: 'PT30S' });
    const runs: RunBody[] = [];
    for (let number = 0; number < RUNS; number++) runs.push(await world.run(agent, world.orders({ output: number })));
    world.host.takeMostLiving();
    const ended: RunBody[] = [];
    for (const run of runs) {
      const atItsEnd = async () => {
        const body = await world.getRun(run);
        return body.endedAt !== undefined && body;
      };
      ended.push(await until(`the end of ${run.id}`, atItsEnd, BURST_LIMIT_SECONDS));
    }
    assert.deepEqual(
      ended.filter(({ status }) => status !== 'succeeded').map(({ id, status, reason }) => [id, status, reason]),
      [],
    );
    assert.deepEqual(
      ended.map(({ output }) => output),
      runs.map((_, number) => number),
    );
    const launched = world.host.instances().length - before;
    const most = world.host.takeMostLiving();
    assert.ok(most <= VMS, `${most} VMs lived at once`);
    assert.ok(launched < RUNS / 2, `${launched} VMs were launched for ${RUNS} runs`);
  },
};

export const burstScenarios: readonly Scenario[] = [burst];
