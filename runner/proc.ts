/** What /proc says about processes: who lives, and who carries a run's mark. */
import fs from 'node:fs';
import { readText } from './files.ts';

/** A process, told from a later one with the same pid by its start time in clock ticks since boot. */
export interface ProcessId {
  readonly pid: number;
  readonly startTicks: number;
}

/** The environment by which the processes of one try of a run are found, however far they have wandered off. */
export interface Mark {
  readonly vmId: string;
  readonly runId: string;
  readonly attempt: number;
}

export const markEnvironment = (mark: Mark) => ({
  CANDOR_VM_ID: mark.vmId,
  CANDOR_RUN_ID: mark.runId,
  CANDOR_ATTEMPT: String(mark.attempt),
});

/** Tells one boot of the machine from the next: pids, ticks and the monotonic clock start again with each. */
export const currentBootId = (): string => (readText('/proc/sys/kernel/random/boot_id') ?? '').trim();

/** Milliseconds of CLOCK_MONOTONIC, which all processes of one boot share. */
export const monotonicMs = (): number => Number(process.hrtime.bigint() / 1000n) / 1000;

/** What /proc/<pid>/stat says from its third field on, or undefined if there is no such process, or only its corpse. */
function statFields(pid: number): readonly string[] | undefined {
  const stat = readText(`/proc/${pid}/stat`);
  if (!stat) return undefined;
  // The name in field 2 may hold anything, so counting starts behind its parenthesis.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return fields[0] === 'Z' || fields[0] === 'X' ? undefined : fields;
}

/** The process as it stands now, or undefined if there is none, or only its corpse. */
export function livingProcess(pid: number): ProcessId | undefined {
  const fields = statFields(pid);
  return fields && { pid, startTicks: Number(fields[19]) };
}

/** CPU time that the process and its ended children have used, in clock ticks; undefined if it is not there any more. */
export function cpuTicks(id: ProcessId): number | undefined {
  const fields = statFields(id.pid);
  if (!fields || Number(fields[19]) !== id.startTicks) return undefined;
  const [utime, stime, childrenUtime, childrenStime] = fields.slice(11, 15).map(Number);
  return (utime ?? 0) + (stime ?? 0) + (childrenUtime ?? 0) + (childrenStime ?? 0);
}

export const isAlive = (id: ProcessId): boolean => livingProcess(id.pid)?.startTicks === id.startTicks;

/** Living processes that carry the mark, except the given one. */
export function markedProcesses(mark: Mark, except?: ProcessId): ProcessId[] {
  const wanted = Object.entries(markEnvironment(mark)).map(([name, value]) => `${name}=${value}`);
  const found: ProcessId[] = [];
  for (const name of fs.readdirSync('/proc')) {
    const pid = Number(name);
    if (!Number.isInteger(pid) || pid === process.pid) continue;
    const environment = readText(`/proc/${pid}/environ`)?.split('\0');
    if (!environment || !wanted.every((entry) => environment.includes(entry))) continue;
    const id = livingProcess(pid);
    if (id && !(id.pid === except?.pid && id.startTicks === except.startTicks)) found.push(id);
  }
  return found;
}

/** Sends a signal. Answers false if there was nobody to get it. */
export function sendSignal(target: number, signal: NodeJS.Signals): boolean {
  try {
    process.kill(target, signal);
    return true;
  } catch {
    return false;
  }
}
