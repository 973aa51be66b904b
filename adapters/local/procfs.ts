/**
 * What Linux's /proc says about processes. A pid alone names nothing, as pids are used again: a process is named by pid and
 * start time together, and the processes of a VM are found by a mark in their environment, which children inherit
 * however far they wander off.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';

/** A process, told from a later one with the same pid by its start time in clock ticks since boot. */
export interface ProcessIdentity {
  readonly pid: number;
  readonly startTicks: number;
}

/** A moment on the clock that goes on, whatever the wall clock does; it means nothing after another boot. */
export const monotonicNow = (): { readonly monotonicMs: number; readonly bootId: string } => ({
  monotonicMs: Number(process.hrtime.bigint() / 1000n) / 1000,
  bootId: readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim(),
});

/** Whether this platform lets us look processes up by what they carry. */
export const hasProcfs = (): boolean => existsSync('/proc/self/environ');

/** A file below /proc, or undefined: its process may vanish, or belong to somebody else, at any moment. */
function readProcFile(pid: number, name: string): string | undefined {
  try {
    return readFileSync(`/proc/${pid}/${name}`, 'utf8');
  } catch {
    return undefined;
  }
}

/** The living process with this pid. A zombie is not alive: it has ended, only nobody has asked how. */
export function identify(pid: number): ProcessIdentity | undefined {
  const stat = readProcFile(pid, 'stat');
  if (stat === undefined) return undefined;
  // Field 2, the name in parentheses, may hold spaces and parentheses itself, so counting starts behind its end.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const [status] = fields;
  // Field 22 of the whole line is the start time; two fields stand before this slice.
  const startTicks = Number(fields[19]);
  if (status === undefined || status === 'Z' || status === 'X' || !Number.isFinite(startTicks)) return undefined;
  return { pid, startTicks };
}

/** Whether exactly this process still runs. */
export const isAlive = (process: ProcessIdentity): boolean => identify(process.pid)?.startTicks === process.startTicks;

/** The arguments that a process was started with; empty if it has vanished. */
export const argumentsOf = (pid: number): readonly string[] =>
  readProcFile(pid, 'cmdline')?.split('\0').slice(0, -1) ?? [];

/** The value of a variable in the environment that a process was started with. */
export function environmentValue(pid: number, name: string): string | undefined {
  const entry = readProcFile(pid, 'environ')
    ?.split('\0')
    .find((candidate) => candidate.startsWith(`${name}=`));
  return entry?.slice(name.length + 1);
}

/** Pids of all processes but our own. */
export function otherPids(): readonly number[] {
  return readdirSync('/proc')
    .map(Number)
    .filter((pid) => Number.isInteger(pid) && pid > 0 && pid !== process.pid);
}

function scanForMark(entry: string): readonly ProcessIdentity[] {
  const found: ProcessIdentity[] = [];
  for (const pid of otherPids()) {
    const environment = readProcFile(pid, 'environ');
    if (environment === undefined || !environment.split('\0').includes(entry)) continue;
    const identity = identify(pid);
    if (identity !== undefined) found.push(identity);
  }
  return found;
}

/**
 * The living processes whose environment holds `name=value`, our own excepted.
 *
 * One scan is no proof of absence: a process may fork after the list of pids was read and end before its own turn comes.
 * So "none" is answered only after two scans in a row have found none.
 */
export function processesWithMark(name: string, value: string): readonly ProcessIdentity[] {
  const entry = `${name}=${value}`;
  const first = scanForMark(entry);
  return first.length > 0 ? first : scanForMark(entry);
}

/** Sends a signal. Answers false if there was nobody to get it. */
export function sendSignal(pid: number, signal: NodeJS.Signals): boolean {
  try {
    process.kill(pid, signal);
    return true;
  } catch {
    return false;
  }
}

/** Waits until the condition holds or the time is over, and answers which of the two it was. */
export async function waitUntil(condition: () => boolean, limitMs: number, everyMs = 10): Promise<boolean> {
  const deadline = performance.now() + limitMs;
  while (!condition()) {
    if (performance.now() >= deadline) return false;
    await new Promise((resolve) => setTimeout(resolve, everyMs));
  }
  return true;
}
