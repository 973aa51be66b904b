/** The guards of the watchdog's repairs and of the audit: see `guards.test.ts`. */
import { auditSlice } from '../../core/audit/slice.ts';
import { agentLimitId } from '../../core/limits/model.ts';
import { finishRun } from '../../core/runs/finish.ts';
import { createRun } from '../../core/runs/service.ts';
import * as keys from '../../core/table/itemKeys.ts';
import { asItem } from '../../core/table/rows.ts';
import { forgetFailures, postpone } from '../../core/watchdog/checks.ts';
import { repairLimit } from '../../core/watchdog/repairLimit.ts';
import { tick } from '../../core/watchdog/tick.ts';
import type { World } from '../support/world.ts';
import type { Race } from './race.ts';
import { ended, heardBeside, interleaved, MINUTE, runningRun, SECOND, storeWith, vmRow } from './support.ts';

const watch = { owner: 'test', budgetMs: 60_000 };

/** A limit of two, one place of which is counted for a run that has ended. */
async function leakedPlace(world: World, lost: (sk: string) => boolean) {
  const agent = await world.agent({ limits: { maxConcurrentRuns: 3 } });
  const { id } = await createRun(world.ports, world.caller, agent.id, {});
  const limitId = agentLimitId(agent.id);
  const { store } = world.ports;
  const losing = storeWith(store, {
    transact: (writes) =>
      store.transact(
        writes.filter((write) => {
          const { pk, sk } = write.kind === 'put' ? write.item : write.key;
          return pk !== keys.limit(limitId).pk || !lost(sk);
        }),
      ),
  });
  const evidence = { source: 'test', observedAt: new Date(world.now).toISOString(), detail: '' };
  await finishRun({ ...world.ports, store: losing }, id, { status: 'failed', evidence }, { attempt: 1 });
  return { agent, limitId, holder: id };
}

async function counterIsRight(world: World, limitId: string): Promise<boolean> {
  const { pk } = keys.limit(limitId);
  const holders = await world.ports.store.query({ pk, prefix: 'HOLD#', limit: 10 });
  return (await world.ports.store.get(keys.limit(limitId)))?.used === holders.items.length;
}

export const WATCHDOG_RACES: readonly Race[] = [
  {
    without: ['postpone.checkUnmoved'],
    when: 'a look moves a check itself, and then fails',
    breaks: 'I6',
    held: async (world) => {
      const { vmId } = await runningRun(world);
      const another = await heardBeside(world);
      await tick(world.ports, watch);
      const fleet = { ...world.ports.fleet, terminate: () => Promise.reject(new Error('throttled')) };
      for (let passed = 0; passed < 18; passed++) {
        world.now += 10 * SECOND;
        await another();
        const { status } = await vmRow(world, vmId);
        if (status === 'draining') break;
        await tick({ ...world.ports, fleet }, watch);
      }
      const vm = await vmRow(world, vmId);
      // It is looked at again when its drain is over, not an interval later.
      return vm.status === 'draining' && vm.checkAt === vm.deadlineAt;
    },
  },
  {
    without: ['postpone.sameFailures'],
    when: 'a look fails once more before another one, which has gone well, forgets the failure before',
    breaks: 'I8: the failure that it does not know of is forgotten, too',
    held: async (world) => {
      const { vmId } = await runningRun(world);
      const fail = async () => {
        const row = await vmRow(world, vmId);
        world.now = row.checkAt ?? world.now;
        await postpone(world.ports, asItem(row), world.now);
      };
      await fail();
      const seen = asItem(await vmRow(world, vmId));
      await forgetFailures(interleaved(world, fail, keys.vm(vmId)), seen);
      return asItem(await vmRow(world, vmId)).checkFailures === 2;
    },
  },
  {
    without: ['heard.unchanged'],
    when: 'others are heard while a process stands still before it notes a heartbeat',
    breaks: 'I6: nobody seems to have been heard meanwhile, and a VM that is silent is spared for that',
    held: async (world) => {
      const { vmId } = await runningRun(world);
      const another = await heardBeside(world);
      const pass = async (seconds: number) => {
        for (let passed = 0; passed < seconds; passed += 10) {
          world.now += 10 * SECOND;
          await another();
          await tick(world.ports, watch);
        }
      };
      await pass(50);
      await another(interleaved(world, () => pass(100), keys.system('heartbeats')));
      await pass(30);
      return (await vmRow(world, vmId)).status === 'draining';
    },
  },
  {
    without: ['order.isFirst'],
    when: 'another watchdog asks for the end of the same VM first',
    breaks: 'each recovery is told once',
    held: async (world) => {
      const { id, vmId, runner } = await runningRun(world);
      await runner.beat([ended(id)]);
      await tick(world.ports, watch);
      world.now += 31 * SECOND;
      const rival = () => tick(world.ports, watch);
      await tick(interleaved(world, rival, keys.vm(vmId)), watch);
      return world.measured.filter(({ name }) => name === 'Recoveries').length === 1;
    },
  },
  {
    without: ['repair.placeStillHeld'],
    when: 'another look gives the same place back first',
    breaks: 'I10',
    held: async (world) => {
      const { limitId, holder } = await leakedPlace(world, () => true);
      const rival = () => repairLimit(world, limitId);
      await repairLimit({ ports: interleaved(world, rival, keys.limitHolder(limitId, holder)) }, limitId);
      return counterIsRight(world, limitId);
    },
  },
  {
    without: ['repair.nobodyCameOrWent'],
    when: 'a run is let in between the count of the places and the correction of the counter',
    breaks: 'I10',
    held: async (world) => {
      const { agent, limitId } = await leakedPlace(world, (sk) => sk === 'META');
      const rival = () => createRun(world.ports, world.caller, agent.id, {});
      await repairLimit({ ports: interleaved(world, rival, keys.limit(limitId)) }, limitId);
      // Lost once more, it is counted anew by the next look; nothing may be counted that is not there.
      const used = (await world.ports.store.get(keys.limit(limitId)))?.used;
      const holders = await world.ports.store.query({ ...keys.limit(limitId), prefix: 'HOLD#', limit: 10 });
      return Number(used) >= holders.items.length;
    },
  },
  {
    without: ['audit.oneAtATime'],
    when: 'another audit goes through between a page and its note',
    breaks: 'the report: a cycle is through once',
    held: async (world) => {
      const agent = await world.agent();
      await world.schedule(agent.id);
      world.now += MINUTE;
      const options = { owner: 'test', budgetMs: 600_000 };
      const rival = () => auditSlice(world.ports, options);
      const mine = await auditSlice(interleaved(world, rival, keys.system('audit.state')), options);
      return mine === 'going_on';
    },
  },
];
