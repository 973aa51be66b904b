/**
 * What protects an invariant and is no guard of a write: fences, markers, rules of two looks, the table of transitions. Each
 * is taken out by changing the source that is loaded (`mutate.ts`), in processes of its own. This file loads nothing of Candor:
 * it would be loaded whole.
 */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Aim } from './aims.ts';
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

/** Whenever a VM is about to be written, somebody looks at its instance. */
const looks = ({ theme }: Workload): Partial<Workload> => ({
  theme: { share: 0.6, victims: [], strikes: { ...theme.strikes, vm: ['look'], run: ['cancel'] } },
});

const edit = (file: string, find: string, instead: string): Edit => ({ file, find, instead });

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
      // Under a token that is written down, too: what is asked under any other is found at once.
      edit(
        'core/vms/launch.ts',
        '? { ...vm.intent, openedAt: now, unanswered: true }',
        '? { ...intentOf(run, await planFor(agent), number + 1, now), unanswered: true }',
      ),
    ],
    aim: {
      operations: ['create_run'],
      faults: { site: 'ec2.CreateFleet', share: 0.4, kinds: ['lost', 'crash_after', 'late'] },
    },
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
      faults: { site: 'ec2.CreateFleet', share: 0.5, kinds: ['late', 'thaw', 'lost', 'crash_after'] },
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
      faults: { site: 'ec2.CreateFleet', share: 0.5, kinds: ['late', 'thaw', 'lost', 'crash_after'] },
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
};

const ROOT = path.join(import.meta.dirname, '../..');

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
