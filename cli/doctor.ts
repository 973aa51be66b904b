/**
 * What `candor doctor` looks at, as findings: each says how it is, and where it is not well, what to do. Gathering is apart
 * from judging, so that every judgement can be tried without a server.
 */
import type { AuditBody, PartBody, SystemBody } from '../core/contract/system.ts';

export interface Finding {
  readonly check: string;
  readonly level: 'ok' | 'warning' | 'failure';
  readonly detail: string;
  readonly remedy?: string;
}

/** The largest difference of clocks under which evidence is judged rightly (design.md, I9). */
const SKEW_MS_MAX = 5000;
const DISK_BYTES_LOW = 1024 ** 3;
const DISK_BYTES_OUT = 100 * 1024 ** 2;
/** The shape of stored items that this command was made with. */
const KNOWN_SCHEMA = 1;

/** @param serverTime what the server said its time is, between the sending of the question and its answer */
export function clockFinding(serverTime: number, sentAt: number, answeredAt: number): Finding {
  const differenceMs = serverTime < sentAt ? serverTime - sentAt : Math.max(0, serverTime - answeredAt);
  const detail = `the server's clock and this one differ by ${differenceMs === 0 ? 'nothing that can be seen' : `${(differenceMs / 1000).toFixed(1)} s`}`;
  return Math.abs(differenceMs) <= SKEW_MS_MAX
    ? { check: 'clock', level: 'ok', detail }
    : {
        check: 'clock',
        level: 'failure',
        detail,
        remedy: 'Set this clock, or that of the server, by NTP (timedatectl status).',
      };
}

export function schemaFinding(system: SystemBody, ofDataDir: number | undefined): Finding {
  const { schema } = system.version;
  const stored = ofDataDir === undefined ? '' : `, the data folder has ${ofDataDir}`;
  const detail = `the server writes schema ${schema}, this command knows ${KNOWN_SCHEMA}${stored}`;
  if (ofDataDir !== undefined && ofDataDir > schema)
    return {
      check: 'schema',
      level: 'failure',
      detail,
      remedy: 'Start the newer Candor that has used this data folder.',
    };
  return schema === KNOWN_SCHEMA
    ? { check: 'schema', level: 'ok', detail }
    : { check: 'schema', level: 'warning', detail, remedy: 'Install the version of this command that the server has.' };
}

const PART_REMEDIES: Readonly<Record<string, string>> = {
  clock:
    'Nothing fires in time: look at the log of the server, or at the schedule group and the role of EventBridge Scheduler.',
  watchdog:
    'Nothing recovers by itself: look at the log of the function watchdog, or of candor dev, and start it again.',
  workflow: 'No VM is launched: look at the executions of provision-vm, or at the log of candor dev.',
  events:
    'Nothing follows from what ends: look at the event source mapping of the function events, or at the log of candor dev.',
  audit: 'Nobody compares what was expected with what was done: look at the log of the function audit.',
};

export function partFinding(part: PartBody): Finding {
  const last =
    part.lastProofAt === undefined ? 'it has never published anything' : `last proof of life ${part.lastProofAt}`;
  // Without a promise nothing can be told from its silence: what it should have done is watched elsewhere.
  const promise = part.status === 'seen' ? '; it promises no other one' : '';
  const finding = { check: `part ${part.name}`, detail: `${part.status}: ${last}${promise}` };
  const remedy = PART_REMEDIES[part.name];
  if (part.status === 'silent') return { ...finding, level: 'failure', ...(remedy !== undefined && { remedy }) };
  if (part.status !== 'unknown') return { ...finding, level: 'ok' };
  return {
    ...finding,
    level: 'warning',
    remedy: 'In a new installation it has had nothing to do yet; else look at its log.',
  };
}

/** A fire that is late once is no dead clock; what is broken for so long moves no more by itself. */
const CLOCK_MISSES_MAX = 1;
const OVERDUE_SECONDS_MAX = 300;

/** What the watchdog says of everything else, with its last tick. */
export function watchdogFindings(system: SystemBody): readonly Finding[] {
  const detail = system.parts.find(({ name }) => name === 'watchdog')?.detail ?? {};
  const numberOf = (name: string) => Number(detail[name] ?? 0);
  const [misses, strays, overdue] = [
    numberOf('clockMisses'),
    numberOf('strayInstances'),
    numberOf('oldestOverdueSeconds'),
  ];
  const findings: (Finding & { readonly if: boolean })[] = [
    {
      if: misses > CLOCK_MISSES_MAX,
      check: 'clock fires',
      level: 'failure',
      detail: `the last ${misses} occurrences were left to the watchdog: nothing fires in time`,
      remedy: PART_REMEDIES.clock ?? '',
    },
    {
      if: detail.poison !== undefined,
      check: 'watchdog',
      level: 'failure',
      detail: `it cannot look at some items (${detail.poison})`,
      remedy: 'Look for watchdog.item_failed in the log: it names the item and the error.',
    },
    {
      if: overdue > OVERDUE_SECONDS_MAX,
      check: 'watchdog',
      level: 'warning',
      detail: `the oldest broken promise is ${overdue} s old`,
      remedy: 'Look for runs and VMs that do not move: candor runs list --status live, candor vms list.',
    },
    {
      if: detail.leftOver !== undefined,
      check: 'watchdog',
      level: 'warning',
      detail: 'it did not get through what was due',
      remedy: 'It goes on with the next tick; if this stays, raise watchdogLanes or look for throttled calls.',
    },
    {
      if: strays > 0,
      check: 'instances',
      level: 'warning',
      detail: `no VM accounts for ${strays}: they cost money and do nothing`,
      remedy:
        'They are terminated at a second look, within ten minutes; if they stay, look for fleet.stray_marked in the log.',
    },
  ];
  return findings.filter((finding) => finding.if).map(({ if: _applies, ...finding }) => finding);
}

export function auditFinding(audit: AuditBody): Finding {
  if (audit.status === 'never')
    return {
      check: 'audit',
      level: 'warning',
      detail: 'no audit has been through yet',
      remedy: 'Look again in an hour.',
    };
  const counts = Object.entries(audit.counts ?? {})
    .map(([kind, count]) => `${count} ${kind}`)
    .join(', ');
  const { unread = 0 } = audit;
  const detail = `${counts}${unread === 0 ? '' : `, ${unread} not to be read`} at ${audit.endedAt}`;
  return audit.status === 'clean'
    ? { check: 'audit', level: 'ok', detail }
    : { check: 'audit', level: 'failure', detail, remedy: 'Read what was found: candor audit' };
}

export function diskFinding(freeBytes: number, folder: string): Finding {
  const detail = `${(freeBytes / 1024 ** 3).toFixed(1)} GiB are free for ${folder}`;
  if (freeBytes >= DISK_BYTES_LOW) return { check: 'disk', level: 'ok', detail };
  const remedy = 'Free some space: logs, artifacts and the table are kept there.';
  return { check: 'disk', level: freeBytes < DISK_BYTES_OUT ? 'failure' : 'warning', detail, remedy };
}

export const isWell = (findings: readonly Finding[]): boolean => findings.every(({ level }) => level !== 'failure');
