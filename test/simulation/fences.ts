/**
 * What protects an invariant and is no guard of a write: fences, markers, rules of two looks, the tables of transitions, the
 * tolerance for clocks. Each is taken out by changing the source that is loaded (`mutate.ts`), in processes of its own. Where
 * it stands, the source says so: `// fence: its name`, in the line above (`markers.ts`). This file loads nothing of Candor: it
 * would be loaded whole.
 */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Aim } from './aims.ts';
import { edit, TABLE_FENCES } from './tableFences.ts';
import type { Workload } from './workload.ts';

export interface Edit {
  readonly file: string;
  /** Stands there exactly once. */
  readonly find: string;
  readonly instead: string;
}

export interface Fence {
  readonly what: string;
  readonly edits: readonly Edit[];
  /** What leads to it, or to which guard what leads there leads. */
  readonly aim?: Aim;
  readonly leadsAs?: string;
  /** Guards behind it, which would stop the same thing. */
  readonly covering?: readonly string[];
}

/** Each minute something is due. */
const often = ({ theme }: Workload): Partial<Workload> => ({
  schedules: { cadence: { every: 'PT1M' } },
  theme: { ...theme, share: 0.6, victims: [], strikes: { ...theme.strikes, schedule: ['fire'] } },
});

/** Launches are asked for, and are not answered; what was answered late goes on. */
const UNANSWERED: Aim['faults'] = {
  site: 'ec2.CreateFleet',
  share: 0.5,
  kinds: ['late', 'thaw', 'lost', 'crash_after'],
};

/** Whenever a VM is about to be written, somebody looks at its instance. */
const looks = ({ theme }: Workload): Partial<Workload> => ({
  theme: { share: 0.6, victims: [], strikes: { ...theme.strikes, vm: ['look'], run: ['cancel'] } },
});

export const FENCES: Readonly<Record<string, Fence>> = {
  'fence.reportOfAttempt': {
    what: 'a report is taken for the attempt that it names, and no other',
    edits: [
      edit(
        'core/vms/report.ts',
        'run === undefined || run.attempt !== entry.attempt || run.vmId !== vm.id',
        'run === undefined',
      ),
      edit('core/runs/finish.ts', 'if (run.attempt !== options.attempt) {', 'if (false as boolean) {'),
    ],
    covering: ['run.sameAttempt'],
  },
  'fence.terminalStands': {
    what: 'a run that has ended does not end again',
    edits: [
      edit('core/runs/finish.ts', "if (isTerminal(run.status)) return { done: { outcome: 'already', run } };", ''),
      edit('core/runs/machine.ts', "  end: refuse('the run has ended'),", "  end: go('verdict'),"),
      edit(
        'core/vms/report.ts',
        'if (isTerminal(run.status)) return over ? lateTruth(ports, vm, run, entry) : endStray(ports, vm, entry);',
        '',
      ),
    ],
  },
  'fence.onlyUndispatched': {
    what: 'a failed launch ends a run only while no VM was told to start it',
    edits: [
      edit(
        'core/runs/finish.ts',
        'if (options.onlyUndispatched === true && run.vmId !== undefined) return { done: undefined };',
        '',
      ),
    ],
  },
  'fence.generation': {
    what: 'a heartbeat of a registration that was superseded changes nothing',
    edits: [edit('core/vms/heartbeat.ts', '  checkToken(vm, identity);\n', '')],
    aim: {
      weather: ({ machines, network }) => ({
        machines: { ...machines, runnerDies: 0.9 },
        network: { ...network, late: 0.3, double: 0.5 },
      }),
    },
  },
  'fence.heartbeatOrder': {
    what: 'a heartbeat that was overtaken changes nothing',
    edits: [edit('core/vms/heartbeat.ts', 'if (request.seq <= vm.heartbeatSeq)', 'if (false as boolean)')],
    covering: ['heartbeat.inOrder'],
  },
  'fence.decidedThrough': {
    what: 'an occurrence that is decided is not decided again',
    edits: [edit('core/schedules/fire.ts', 'if (target <= schedule.decidedThrough)', 'if (false as boolean)')],
    covering: ['fire.occurrenceOnce', 'run.createdOnce', 'event.appendedOnce'],
    aim: { weather: ({ clock }) => ({ clock: { ...clock, double: 0.6 } }) },
  },
  'fence.clientToken': {
    what: 'a launch that is asked for again brings the same instance',
    edits: [
      edit(
        'adapters/aws/fleet.ts',
        'ClientToken: spec.clientToken,',
        'ClientToken: spec.clientToken + String(process.uptime()),',
      ),
    ],
    aim: {
      operations: ['create_run'],
      faults: { site: 'ec2.CreateFleet', share: 0.4, kinds: ['lost', 'crash_after', 'late'] },
    },
  },
  'fence.notEarly': {
    what: 'nothing is decided before it is due, whoever asks',
    edits: [
      edit(
        'core/schedules/fire.ts',
        '(delivery.scheduledTime === undefined && target > horizon)',
        '(false as boolean)',
      ),
      edit(
        'core/schedules/fire.ts',
        "if (target > horizon) return { done: { outcome: 'ignored', reason: 'early' } };",
        '',
      ),
    ],
    aim: { operations: ['create_schedule'], workload: often },
  },
  'fence.sameToken': {
    what: 'what may have been launched is asked for again under the same token',
    edits: [
      edit(
        'core/vms/launch.ts',
        'const intent: LaunchIntent = open\n        ? { ...vm.intent, openedAt: now, unanswered: true }',
        'const intent: LaunchIntent = open\n        ? { ...intentOf(run, await planFor(agent), number + 1, now), unanswered: true }',
      ),
    ],
    aim: { operations: ['create_run'], faults: UNANSWERED },
  },
  'fence.notInUse': {
    what: 'a VM that has a run is not let go by whoever has not heard of it',
    edits: [
      edit('core/vms/provision.ts', "if (run.vmId === vmId) return { released: 'dispatched' };", ''),
      edit('core/vms/drain.ts', "if (vm.slots.length > 0) return { done: 'in_use' };", ''),
    ],
    // The execution cannot dispatch, and does not hear that the registration has.
    aim: {
      operations: ['create_run'],
      faults: { site: 'dispatch: store.getMany', share: 0.9, kinds: ['fail_before'] },
    },
  },
  'fence.endSeen': {
    what: 'that its end was asked for is no end of a VM',
    edits: [
      edit(
        'core/vms/release.ts',
        "if (observation.status !== 'terminated') return observation;",
        'if (false as boolean) return observation;',
      ),
    ],
  },
  'looks.endTwice': {
    what: 'a VM with work on it is gone when two looks say so',
    edits: [
      edit(
        'core/vms/release.ts',
        "if (observation.status === 'terminated' && seen.slots.length > 0)",
        'if (false as boolean)',
      ),
    ],
  },
  'watchdog.places': {
    what: 'a run that nobody has placed is placed',
    edits: [
      edit(
        'core/watchdog/rules/queued.ts',
        "return { do: 'place' };",
        "return { do: 'look_again', at: placedBy(now, run.deadlineAt) };",
      ),
    ],
  },
  'watchdog.settles': {
    what: 'an occurrence that nobody has decided is settled',
    edits: [edit('core/watchdog/rules/schedule.ts', 'settle: isOverdue(config, schedule, now),', 'settle: false,')],
    aim: { weather: ({ clock }) => ({ clock: { ...clock, dropped: 0.5 } }) },
  },
  'watchdog.calls': {
    what: 'what waits for a run that has ended is called',
    edits: [
      edit(
        'core/watchdog/rules/schedule.ts',
        'advance: schedule.buffer.length > 0 || schedule.waitingRuns.length > 0 || schedule.backfill !== undefined,',
        'advance: false,',
      ),
    ],
    // The word of an end is lost on its way.
    aim: {
      operations: ['trigger', 'create_schedule'],
      workload: () => ({ schedules: { cadence: { every: 'PT1M' }, overlapPolicy: 'buffer_all' } }),
      weather: ({ machines, stream }) => ({
        stream: { ...stream, triesMax: 1 },
        machines: { ...machines, workMsMax: 120_000, neverEnds: 0 },
      }),
      faults: { site: 'events: store.get RUN META', share: 0.6, kinds: ['fail_before'] },
    },
  },
  'looks.afterGap': {
    what: 'a watchdog that stood still itself gives no verdict for a lease',
    edits: [edit('core/watchdog/rule.ts', 'now < holdUntil;', 'now < 0 * holdUntil;')],
  },
  'looks.missingTwice': {
    what: 'a run is missing once two reports in a row do not name it',
    edits: [edit('core/vms/report.ts', 'const MISSING_REPORTS = 2;', 'const MISSING_REPORTS = 1;')],
    leadsAs: 'missing.runUnchanged',
  },
  'looks.missingAfterStart': {
    what: 'a report says nothing of a start that was not acknowledged before it (without the rule of two reports, too)',
    edits: [
      edit(
        'core/vms/report.ts',
        "!pending.some((command) => command.kind === 'start' && command.runId === slot.runId),",
        'pending !== undefined,',
      ),
      edit('core/vms/report.ts', 'const MISSING_REPORTS = 2;', 'const MISSING_REPORTS = 1;'),
    ],
    aim: { operations: ['create_run'] },
  },
  'looks.launchSettled': {
    what: 'a VM without an instance is gone only a while after its launch was asked for',
    edits: [edit('core/vms/release.ts', 'const LAUNCH_SETTLE_MS = 60_000;', 'const LAUNCH_SETTLE_MS = 0;')],
    aim: {
      workload: looks,
      operations: ['create_run', 'cancel_run'],
      weather: ({ ec2 }) => ({ ec2: { ...ec2, lagMsMax: 50_000 } }),
      faults: UNANSWERED,
    },
  },
  'looks.sameInstance': {
    what: 'a look for an instance says nothing of another one',
    edits: [edit('core/vms/release.ts', 'if (vm.instanceId !== seen.instanceId) return { done: undefined };', '')],
    aim: {
      workload: looks,
      operations: ['create_run', 'cancel_run'],
      weather: ({ ec2 }) => ({ ec2: { ...ec2, lagMsMax: 50_000 } }),
      faults: UNANSWERED,
    },
  },
  'looks.ownInstanceAppears': {
    what: 'the end of a surplus instance says nothing while the VM’s own may still appear',
    edits: [
      edit(
        'adapters/aws/instances.ts',
        '(!isAwaited || rankOf(shown) < TERMINATED_RANK)',
        'rankOf(shown) <= TERMINATED_RANK',
      ),
    ],
    aim: {
      workload: looks,
      operations: ['create_run', 'cancel_run'],
      weather: ({ ec2 }) => ({ ec2: { ...ec2, surplus: 0.6, noRoom: 0, lagMsMax: 50_000 } }),
    },
  },
  'looks.instanceAppears': {
    what: 'an instance that was just launched may be unknown for a while',
    edits: [edit('adapters/aws/instances.ts', 'const APPEARING_MS = 300_000;', 'const APPEARING_MS = 0;')],
  },
  'looks.strays': {
    what: 'an instance that is nobody’s is ended at a second look, and may be what a launch without an answer has brought: both at once',
    edits: [
      edit('core/watchdog/rules/strays.ts', 'if (vm.instanceId === undefined && vm.intent.open) return undefined;', ''),
      edit(
        'core/watchdog/rules/strays.ts',
        "if (mark === undefined) return { do: 'mark', because: why };",
        "if (mark === undefined) return { do: 'end', because: why };",
      ),
    ],
    aim: {
      operations: ['create_run'],
      faults: UNANSWERED,
    },
  },
  'looks.straysApart': {
    what: 'the two looks at an instance that is nobody’s are a lease apart',
    edits: [
      edit('core/watchdog/rules/strays.ts', 'view.now - mark.firstSeenAt < view.config.leaseSeconds * 1000', 'false'),
    ],
    // Another watchdog finds what one has just marked, and has not said that it has looked.
    aim: {
      operations: ['create_run'],
      workload: () => ({ watchdogTwice: 1 }),
      weather: ({ ec2 }) => ({ ec2: { ...ec2, surplus: 0.8, noRoom: 0, quota: 0 } }),
      faults: { site: 'watchdog: store.transact SYS watchdog', share: 0.4, kinds: ['fail_before', 'late'] },
    },
  },
  'skew.lease': {
    what: 'a lease ends only when it has by every clock that is allowed',
    edits: [
      edit(
        'core/vms/change.ts',
        '(vm.leaseUntil ?? 0) + config.maxClockSkewSeconds * 1000;',
        'config.maxClockSkewSeconds > 0 ? (vm.leaseUntil ?? 0) : 0;',
      ),
    ],
    leadsAs: 'silent.noHeartbeatSince',
    aim: { weather: () => ({ skewMs: [-5000, 0] }) },
  },
  'skew.fire': {
    what: 'what is delivered at its time is not early by any clock that is allowed',
    edits: [edit('core/schedules/fire.ts', 'now + ports.config.maxClockSkewSeconds * 1000;', 'now;')],
    aim: { operations: ['create_schedule'], workload: often, weather: () => ({ skewMs: [-5000, 0] }) },
  },
  'skew.heard': {
    what: 'that others are heard counts once each has had its turn, by any clock that is allowed',
    edits: [edit('core/vms/heard.ts', 'const skewMs = paces.maxClockSkewSeconds * 1000;', 'const skewMs = 0;')],
  },
  'skew.silentFleet': {
    what: 'a VM is spared where nobody is heard, for so long by any clock that is allowed',
    edits: [
      edit(
        'core/vms/heard.ts',
        '(config.silentFleetSeconds + config.maxClockSkewSeconds) * 1000',
        'config.silentFleetSeconds * 1000',
      ),
    ],
  },
  ...TABLE_FENCES,
};

export const ROOT = path.join(import.meta.dirname, '../..');

/** @throws Error where the source does not have what is to be changed, exactly once */
export function withoutFence(name: string, file: string, source: string): string {
  let changed = source;
  for (const each of FENCES[name]?.edits ?? []) {
    if (each.file !== file) continue;
    if (changed.split(each.find).length !== 2) throw new Error(`${file} does not have once: ${each.find}`);
    changed = changed.replace(each.find, () => each.instead);
  }
  return changed;
}

export const sourceOf = (file: string): string => readFileSync(path.join(ROOT, file), 'utf8');
export const fileOf = (url: string): string => path.relative(ROOT, fileURLToPath(url));
