/**
 * The worst moment: one incarnation has read and decided, and is about to commit. It is held up, and somebody else is quicker
 * at the very same thing: a client, the same delivery once more, another watchdog, the runner, the power supply.
 *
 * Each world has its own theme, a few victims and a few kinds of rivals, so that what seldom meets meets often in some world.
 */
import { advanceSchedule } from '../../core/schedules/advance.ts';
import { syncClock } from '../../core/schedules/clockSync.ts';
import { fire } from '../../core/schedules/fire.ts';
import type { ScheduleRow } from '../../core/schedules/model.ts';
import * as keys from '../../core/table/itemKeys.ts';
import { type Condition, holds, type Key, type Write } from '../../core/table/model.ts';
import type { VmStatus } from '../../core/vms/model.ts';
import { observeVm } from '../../core/vms/release.ts';
import { repairLimit } from '../../core/watchdog/repairLimit.ts';
import type { Clients } from './clients.ts';
import { FENCES } from './fences.ts';
import { guardsThatRun } from './guards.ts';
import type { Incarnation } from './incarnations.ts';
import type { Random } from './random.ts';
import { RUN_STRIKES } from './runStrikes.ts';
import { type Change, carries } from './table.ts';
import { watchdogTick } from './watchdog.ts';
import type { OperationKind } from './workload.ts';
import type { Simulation } from './world.ts';

/** At the same time: an ambush does not draw others without end. */
const AT_ONCE = 3;

const VICTIMS = [
  'fire',
  'events',
  'watchdog',
  'heartbeat',
  'register',
  'launch',
  'ready',
  'dispatch',
  'release',
  'fail',
  'ended',
  'audit',
  'api',
] as const;

/** What a rival does, by what it is about. */
const STRIKES = {
  schedule: [
    'again',
    'tick',
    'fire',
    'advance',
    'sync',
    'run_ends',
    'cancel_its_run',
    'patch_schedule',
    'pause',
    'resume',
    'trigger',
    'skip',
    'unskip',
    'backfill',
    'cancel_backfill',
    'delete_schedule',
  ],
  run: ['again', 'tick', 'cancel', 'beat', 'run_ends', 'vm_dies'],
  vm: ['again', 'tick', 'drain_vm', 'look', 'vm_dies', 'run_ends', 'beat', 'cancel_on_it'],
  webhook: ['again', 'deliver', 'take', 'end', 'patch_webhook', 'switch_webhook', 'delete_webhook', 'create_webhook'],
  delivery: ['again', 'deliver', 'send', 'redeliver', 'end'],
  agent: [
    'again',
    'tick',
    'patch_agent',
    'delete_agent',
    'create_schedule',
    'create_run',
    'patch_schedule',
    'delete_schedule',
  ],
  other: ['again', 'tick', 'create_agent', 'patch_agent', 'create_schedule', 'create_run', 'cancel_run', 'revoke'],
} as const satisfies Readonly<Record<string, readonly Strike[]>>;
type Family = keyof typeof STRIKES;
export type Strike =
  | keyof typeof RUN_STRIKES
  | OperationKind
  | 'again'
  | 'tick'
  | 'fire'
  | 'advance'
  | 'sync'
  | 'repair'
  | 'one_more'
  | 'look'
  | 'cancel'
  | 'cancel_its_run'
  | 'cancel_on_it'
  | 'beat'
  | 'run_ends'
  | 'vm_dies'
  | 'deliver'
  | 'send'
  | 'take'
  | 'end';

export interface Theme {
  readonly share: number;
  /** Whose commits are held up. Empty: everybody's. */
  readonly victims: readonly string[];
  readonly strikes: Readonly<Record<Family, readonly Strike[]>>;
  /** The guard that the world leads to: only transactions that carry it are held up, and the rivals are at what it guards. */
  readonly guard?: string;
  /** The fence that it leads to, instead. */
  readonly fence?: string;
  /** Only where it is an item of this kind that carries it. */
  readonly family?: Family;
  /** Only where it stands in this status. */
  readonly status?: VmStatus;
  /** What is done at the item that carries the guard, instead of what the seed draws. */
  readonly rivals?: readonly Strike[];
  /** For how long they are held up, least and most. */
  readonly heldUpMs?: readonly [number, number];
  /** Whoever is held up stands still: it goes on, though its time is long over. */
  readonly standsStill?: boolean;
  /** They go on as soon as the guard does not hold any more. */
  readonly untilBroken?: boolean;
}

const HELD_UP_MS = [300, 20_000] as const;

const AIMS = [...guardsThatRun(), ...Object.keys(FENCES)];

export function themeOf(random: Random): Theme {
  const some = (family: Family) => {
    const all: readonly Strike[] = STRIKES[family];
    return random.chance(0.3) ? all : Array.from({ length: random.between(1, 2) }, () => random.pick(all));
  };
  const strikes = {
    schedule: some('schedule'),
    run: some('run'),
    vm: some('vm'),
    agent: some('agent'),
    other: some('other'),
    // Always all: few worlds have any.
    webhook: STRIKES.webhook,
    delivery: STRIKES.delivery,
  };
  if (random.chance(0.25)) return { share: 0, victims: [], strikes };
  if (random.chance(0.35)) {
    const aim = random.pick(AIMS);
    if (FENCES[aim] === undefined) return { share: 0.5, victims: [], strikes, guard: aim };
    return { share: 0.08, victims: [], strikes, fence: aim };
  }
  if (random.chance(0.3)) return { share: random.pick([0.02, 0.08]), victims: [], strikes };
  const victims = Array.from({ length: random.between(1, 3) }, () => random.pick(VICTIMS));
  return { share: random.pick([0.1, 0.3, 0.6]), victims, strikes };
}

/** Requests that change no more when they are sent a second time. */
const SENT_AGAIN = new Set(['api.create_run_once', 'api.sign_in']);

export class Rivals {
  readonly #world: Simulation;
  readonly #clients: Clients;
  readonly #theme: Theme;
  readonly #heldUp = new Set<HeldUp>();

  constructor(world: Simulation, clients: Clients, theme: Theme) {
    this.#world = world;
    this.#clients = clients;
    this.#theme = theme;
  }

  /** @returns when it may go on, where the incarnation is held up */
  ambush(inc: Incarnation, writes: readonly Write[]): Promise<void> | undefined {
    const { random, isCalm } = this.#world;
    const { share, victims, rivals, guard, family, status, heldUpMs: bounds = HELD_UP_MS } = this.#theme;
    if (share === 0 || isCalm || this.#heldUp.size >= AT_ONCE) return undefined;
    if (victims.length > 0 && !victims.some((each) => inc.kind.startsWith(each))) return undefined;
    const about = guard === undefined ? writes : writes.filter((write) => carries(write, guard));
    const [first] = about;
    if (first === undefined) return undefined;
    const guarded = guard === undefined ? undefined : first;
    if (guarded !== undefined && family !== undefined && familyOf(keyOf(guarded).pk) !== family) return undefined;
    if (guarded !== undefined && status !== undefined && this.#world.table.get(keyOf(guarded))?.status !== status)
      return undefined;
    if (!random.chance(share)) return undefined;
    const pk = random.pick([...new Set(about.map((write) => keyOf(write).pk))]);
    const strike = random.pick(rivals ?? this.#theme.strikes[familyOf(pk)]);
    const heldUpMs = random.spread(...bounds);
    this.#world.note(`${inc.kind}-${inc.number} is held up at ${pk}: ${strike}`);
    const goesOn = this.#holdUp(inc, heldUpMs, guarded);
    this.#strike(inc, strike, pk, pk.slice(pk.indexOf('#') + 1));
    return goesOn;
  }

  #holdUp(inc: Incarnation, ms: number, guarded: Write | undefined): Promise<void> {
    const { time } = this.#world;
    const { standsStill, untilBroken, guard } = this.#theme;
    if (standsStill === true) inc.frozenUntil = time.now + ms;
    const condition = guarded?.guards?.find(({ name }) => name === guard)?.condition;
    return new Promise((resolve) => {
      const release = () => {
        if (!this.#heldUp.delete(held)) return;
        timer.cancel();
        if (standsStill === true) inc.frozenUntil = time.now;
        if (!inc.dead) resolve();
      };
      const held: HeldUp = {
        ...(guarded !== undefined && untilBroken === true && { key: keyOf(guarded), condition }),
        release,
      };
      const timer = time.after(ms, release);
      this.#heldUp.add(held);
    });
  }

  /** Whoever waited for just this goes on. */
  committed(changes: readonly Change[]): void {
    for (const { key: waited, condition, release } of this.#heldUp) {
      if (waited === undefined || condition === undefined) continue;
      const change = changes.find(({ key }) => key.pk === waited.pk && key.sk === waited.sk);
      if (change !== undefined && !holds(condition, change.after)) this.#world.time.after(1, release);
    }
  }

  #strike(inc: Incarnation, strike: Strike, pk: string, id: string): void {
    const world = this.#world;
    const { runs } = world.checker;
    if (isOfRuns(strike)) {
      RUN_STRIKES[strike](world, this.#clients, id);
      return;
    }
    switch (strike) {
      case 'again':
        if (!inc.kind.startsWith('api') || SENT_AGAIN.has(inc.kind)) inc.again?.();
        return;
      case 'tick':
        return void watchdogTick(world);
      case 'fire': {
        const row = world.table.get(keys.schedule(id)) as unknown as ScheduleRow | undefined;
        const hints = row === undefined ? {} : { agentId: row.agentId, principalId: row.createdBy };
        return void world.invoke('fire', (ports) => fire(ports, { scheduleId: id, ...hints }));
      }
      case 'advance':
        return void world.invoke('events', (ports) => advanceSchedule(ports, id));
      case 'sync':
        return void world.invoke('events', (ports) => syncClock(ports, id));
      case 'repair':
        return void world.invoke('watchdog', (ports) => repairLimit({ ports }, id));
      case 'one_more':
        this.#clients.rival('create_run', id.slice(id.lastIndexOf('#') + 1));
        return;
      case 'look':
        return void world.invoke('watchdog', (ports) => observeVm(ports, id));
      case 'cancel':
        this.#clients.rival('cancel_run', id);
        return;
      case 'cancel_its_run':
      case 'cancel_on_it': {
        const runId = this.#runOf(pk);
        if (runId !== undefined) this.#clients.rival('cancel_run', runId);
        return;
      }
      case 'beat':
      case 'run_ends':
      case 'vm_dies': {
        const runId = this.#runOf(pk);
        const vmId = pk.startsWith('VM#') ? id : runId === undefined ? undefined : runs.rows.get(runId)?.vmId;
        if (vmId !== undefined) this.#strikeVm(vmId, strike);
        return;
      }
      case 'deliver':
        return void world.webhooks.tick();
      case 'send':
        return void world.webhooks.send([id]);
      case 'take':
        return void this.#clients.more.webhooks.take(id);
      case 'end': {
        const webhookId = pk.startsWith('WHK#') ? id : world.checker.webhooks.deliveries.get(id)?.webhookId;
        if (webhookId !== undefined) void this.#clients.more.webhooks.end(webhookId);
        return;
      }
      default:
        this.#clients.rival(strike, id);
        return;
    }
  }

  #runOf(pk: string): string | undefined {
    if (pk.startsWith('RUN#')) return pk.slice(4);
    const row = this.#world.table.get({ pk, sk: 'META' });
    if (pk.startsWith('SCH#')) return ((row?.liveRuns ?? []) as readonly string[])[0];
    return ((row?.slots ?? []) as readonly { readonly runId: string }[])[0]?.runId;
  }

  #strikeVm(vmId: string, strike: Strike): void {
    const instance = this.#world.ec2.instances.findLast((each) => each.vmId === vmId);
    if (instance === undefined) return;
    if (strike === 'vm_dies') this.#world.ec2.end(instance, 'Server.InternalError');
    else if (strike === 'run_ends') instance.machine.endSomething();
    else instance.machine.poke();
  }
}

const isOfRuns = (strike: Strike): strike is keyof typeof RUN_STRIKES => Object.hasOwn(RUN_STRIKES, strike);

interface HeldUp {
  /** What is waited for: that this does not hold of that item any more. */
  readonly key?: Key;
  readonly condition?: Condition | undefined;
  readonly release: () => void;
}

const keyOf = (write: Write): Key => (write.kind === 'put' ? write.item : write.key);

function familyOf(pk: string): Family {
  if (pk.startsWith('SCH#')) return 'schedule';
  if (pk.startsWith('RUN#')) return 'run';
  if (pk.startsWith('VM#')) return 'vm';
  if (pk.startsWith('WHK#')) return 'webhook';
  if (pk.startsWith('DLV#')) return 'delivery';
  return pk.startsWith('AGT#') ? 'agent' : 'other';
}
