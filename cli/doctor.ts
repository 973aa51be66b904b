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
  const finding = { check: `part ${part.name}`, detail: `${part.status}: ${last}` };
  const remedy = PART_REMEDIES[part.name];
  if (part.status === 'silent') return { ...finding, level: 'failure', ...(remedy !== undefined && { remedy }) };
  if (part.status !== 'unknown') return { ...finding, level: 'ok' };
  return {
    ...finding,
    level: 'warning',
    remedy: 'In a new installation it has had nothing to do yet; else look at its log.',
  };
}

export function poisonFinding(system: SystemBody): readonly Finding[] {
  const detail = system.parts.find(({ name }) => name === 'watchdog')?.detail ?? {};
  const { poison, oldestOverdueSeconds = 0, leftOver } = detail;
  const remedy = 'Look for watchdog.item_failed in the log: it names the item and the error.';
  return [
    ...(poison === undefined
      ? []
      : [{ check: 'watchdog', level: 'failure' as const, detail: `it cannot look at ${poison}`, remedy }]),
    ...(leftOver === undefined
      ? []
      : [
          {
            check: 'watchdog',
            level: 'warning' as const,
            detail: `it did not get through what was due (the oldest broken promise: ${oldestOverdueSeconds} s)`,
            remedy: 'It goes on with the next tick; if this stays, raise watchdogLanes or look for throttled calls.',
          },
        ]),
  ];
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
