/**
 * Alarms over Candor's own metrics: what goes wrong is acted out, the code that runs there emits its lines, and nothing else
 * reaches the alarm. Then it is put right.
 */
import { Ec2Fleet } from '../../../adapters/aws/fleet.ts';
import { ScheduleCreate } from '../../../core/contract/schedules.ts';
import { createRun } from '../../../core/runs/service.ts';
import { fire } from '../../../core/schedules/fire.ts';
import { createSchedule } from '../../../core/schedules/service.ts';
import * as keys from '../../../core/table/itemKeys.ts';
import { occurrenceSort } from '../../../core/table/keys.ts';
import { launchVm } from '../../../core/vms/provision.ts';
import { apiRun, ended, running, runningRun, runRow, startingFrom } from '../../core/support.ts';
import { dies } from '../../core/vms/support.ts';
import { FakeEc2 } from '../../support/aws/fakeEc2.ts';
import type { Play } from './play.ts';

export interface AlarmCase {
  readonly breach: (play: Play) => Promise<void>;
  readonly clear: (play: Play) => Promise<void>;
  /** All is well first; five minutes with ticks and one audit where nothing is said. */
  readonly before?: (play: Play) => Promise<void>;
  /** Limits and intervals of the world. */
  readonly config?: Readonly<Record<string, number>>;
}

const MINUTE = 60_000;
const cron = (expression: string) => ({ cadence: { cron: expression, timezone: 'UTC' } });

/** What a case has set up for its end. */
type Undo = (play: Play) => Promise<void>;

/** A case whose breach says how it is put right again. */
function undone(breach: (play: Play) => Promise<Undo>, more: Partial<AlarmCase> = {}): AlarmCase {
  const undo = new WeakMap<Play, Undo>();
  return {
    ...more,
    breach: async (play) => {
      undo.set(play, await breach(play));
    },
    clear: async (play) => {
      await undo.get(play)?.(play);
    },
  };
}

const scheduled = async ({ world }: Play, expression: string) =>
  (await world.schedule((await world.agent()).id, cron(expression))).id;

/** EC2 answers every launch of one run with a code, until it does not. */
function launching(code: string, minutes: number, clearMinutes: number): AlarmCase {
  return undone(async (play) => {
    const { world } = play;
    const ec2 = new FakeEc2();
    ec2.refuse = () => code;
    const fleet = new Ec2Fleet({
      client: ec2.client,
      store: play.ports.store,
      time: play.ports.time,
      log: play.ports.log,
      metrics: play.ports.metrics,
      installation: 'candor-dev',
      template: { id: 'lt-1', version: '1' },
      pools: [
        {
          subnetId: 'subnet-a',
          availabilityZone: 'eu-central-1a',
          architecture: 'x86_64',
          instanceTypes: [{ type: 'm7i.large', vcpu: 2, memoryMiB: 8192 }],
          markets: ['on_demand'],
        },
      ],
      launchesPerSecond: 2,
      launchBurst: 100,
    });
    const { plan, launch } = play.ports.fleet;
    Object.assign(play.ports.fleet, {
      plan: fleet.plan.bind(fleet),
      launch: fleet.launch.bind(fleet),
    });
    // The state machine asks again and again; each minute another run has its turn.
    const asks = async () => {
      const { input } = await apiRun(world);
      await launchVm(play.ports, input).catch((error: unknown) => {
        if (!/CapacityUnavailable|QuotaExceeded|LaunchMisconfigured/.test((error as Error).name)) throw error;
      });
    };
    await play.minutes(minutes, asks);
    return async () => {
      ec2.refuse = () => undefined;
      await play.minutes(clearMinutes, asks);
      Object.assign(play.ports.fleet, { plan, launch });
    };
  });
}

const SCHEDULES: Readonly<Record<string, AlarmCase>> = {
  'scheduler-dead': undone(async (play) => {
    const id = await scheduled(play, '* * * * *');
    await play.minutes(8);
    return () => play.minutes(2, () => play.fires(id));
  }),
  'occurrences-missed': undone(async (play) => {
    const id = await scheduled(play, '* * * * *');
    play.world.now += 150 * MINUTE;
    await play.minutes(2);
    return () => play.minutes(7, () => play.fires(id));
  }),
  'fires-late': undone(async (play) => {
    const { world } = play;
    // None waits for another: a run that is live when the next is due would be told, and not be late.
    const { id } = await world.schedule((await world.agent()).id, { ...cron('* * * * *'), overlapPolicy: 'allow_all' });
    await play.minutes(14);
    return () => play.minutes(14, () => play.fires(id));
  }),
  'clock-failures': undone(async (play) => {
    const { world, ports } = play;
    const { put } = ports.clock;
    Object.assign(ports.clock, { put: () => Promise.reject(new Error('ServiceQuotaExceededException')) });
    const agent = await world.agent();
    const body = { name: 'one', input: null, ...cron('0 0 1 1 *') };
    await createSchedule(ports, world.caller, agent.id, ScheduleCreate.parse(body));
    await play.minutes(13);
    return async () => {
      Object.assign(ports.clock, { put });
      await play.minutes(13);
    };
  }),
};

const RUNS: Readonly<Record<string, AlarmCase>> = {
  'runs-stuck': undone(async (play) => {
    const { id, runner, vmId } = await runningRun(play.world);
    await runner.beat([ended(id)]);
    const { terminate } = play.ports.fleet;
    Object.assign(play.ports.fleet, { terminate: () => Promise.reject(new Error('UnauthorizedOperation')) });
    await play.minutes(20);
    return async () => {
      Object.assign(play.ports.fleet, { terminate });
      dies(play.world, vmId);
      await play.minutes(60);
    };
  }),
  'queue-age': undone(async (play) => {
    const { world } = play;
    const agent = await world.agent({ limits: { maxConcurrentRuns: 1 } });
    const first = (await createRun(play.ports, world.caller, agent.id, {})).id;
    const waiting = (await createRun(play.ports, world.caller, agent.id, {})).id;
    const { runner } = await startingFrom(world, first);
    await runner.beat();
    await play.minutes(80, () => runner.beat([running(first)]));
    return async () => {
      await runner.beat([ended(first)]);
      // Its VM is kept for the one that waits.
      await runner.beat();
      await play.minutes(16, () => runner.beat([running(waiting)]));
    };
  }),
  'launch-capacity': launching('InsufficientInstanceCapacity', 18, 8),
  'launch-quota': launching('VcpuLimitExceeded', 1, 17),
  'launch-misconfigured': launching('InvalidAMIID.NotFound', 1, 17),
  'launch-unknown-code': launching('SomethingNew', 1, 17),
  'orphan-instances': undone(async (play) => {
    const { world } = play;
    const stray = { instanceId: 'i-stray', vmId: 'vm_unknown', tenantId: 'local', status: 'running' } as const;
    // EC2 takes the order to end it, and does nothing.
    world.instances.set('i-stray', { ...stray, detail: 'EC2 says that i-stray is running' });
    await play.minutes(40);
    return async () => {
      world.instances.clear();
      await play.minutes(45);
    };
  }),
};

/** Reads of runs take two seconds each. */
function slowTable({ ports, world }: Play): () => void {
  const { get } = ports.store;
  const { now } = ports.time;
  let lost = 0;
  Object.assign(ports.time, { now: () => world.now + lost });
  Object.assign(ports.store, {
    get: async (key: Parameters<typeof get>[0]) => {
      if (key.pk.startsWith('RUN#')) lost += 2000;
      return get.call(ports.store, key);
    },
  });
  return () => {
    Object.assign(ports.time, { now });
    Object.assign(ports.store, { get });
  };
}

const PARTS: Readonly<Record<string, AlarmCase>> = {
  'watchdog-dead': {
    breach: (play) => play.minutes(4, undefined, false),
    clear: (play) => play.minutes(1),
  },
  'watchdog-behind': undone(
    async (play) => {
      for (let each = 0; each < 60; each++) await apiRun(play.world, { limits: { startTimeout: 'PT8H' } });
      const quick = slowTable(play);
      play.budgetMs = 3000;
      await play.minutes(18);
      return async () => {
        quick();
        play.budgetMs = 50_000;
        await play.minutes(8);
      };
    },
    { config: { watchdogLanes: 1, checkShards: 1 } },
  ),
  'watchdog-holding': {
    // Each tick comes too late after the one before it, so each takes what it sees for its own gap.
    breach: async (play) => {
      for (let each = 0; each < 7; each++) {
        await play.minutes(2, undefined, false);
        await play.minutes(1);
      }
    },
    clear: (play) => play.minutes(10),
  },
  'watchdog-poison': undone(async (play) => {
    const { id } = await apiRun(play.world, { limits: { startTimeout: 'PT8H' } });
    const set = (schemaVersion: number) =>
      play.ports.store.transact([{ kind: 'update', key: keys.run(id), set: { schemaVersion }, guards: [] }]);
    const { schemaVersion } = await runRow(play.world, id);
    await set(99);
    await play.minutes(40);
    return async () => {
      await set(schemaVersion);
      await play.minutes(50);
    };
  }),
  'audit-silent': {
    before: (play) => play.hours(5, () => play.audit()),
    breach: (play) => play.hours(5, () => {}),
    clear: (play) => play.hours(1, () => play.audit()),
  },
  'audit-missing': undone(async (play) => {
    const id = await scheduled(play, '30 12 1 3 *');
    // Neither the clock nor the watchdog is there.
    play.world.now += 60 * MINUTE;
    await play.audit();
    await play.minutes(1);
    if (id === '') throw new Error('no schedule');
    return async () => {
      play.world.now += 60 * MINUTE;
      await play.audit();
      await play.minutes(1);
    };
  }),
  'audit-double': undone(async (play) => {
    const id = await scheduled(play, '30 12 * * *');
    const at = Date.UTC(2027, 2, 1, 12, 30);
    play.world.now = at;
    await fire(play.ports, { scheduleId: id, scheduledTime: at });
    // Another run has got into the ledger in its place: by hand, since no fault that we know leads there.
    const key = { pk: keys.schedule(id).pk, sk: occurrenceSort(at) };
    await play.ports.store.transact([{ kind: 'update', key, set: { runId: 'run_another' }, guards: [] }]);
    play.world.now += 60 * MINUTE;
    await play.audit();
    await play.minutes(1);
    return async () => {
      // It is told as long as the audit looks back.
      for (let hour = 0; hour < 4; hour++) {
        play.world.now += 60 * MINUTE;
        await play.audit();
        await play.minutes(1);
      }
    };
  }),
  'audit-not-clean': undone(async (play) => {
    const id = await scheduled(play, '0 0 1 1 *');
    play.world.clocks.delete(id);
    play.world.now += 60 * MINUTE;
    await play.audit();
    await play.minutes(1);
    return async () => {
      play.world.now += 60 * MINUTE;
      await play.audit();
      await play.minutes(1);
    };
  }),
};

export const OWN_CASES: Readonly<Record<string, AlarmCase>> = { ...SCHEDULES, ...RUNS, ...PARTS };
