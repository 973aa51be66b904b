/** The processes of one emulated machine, found in /proc by the folder that they carry in their environment. */
import fs from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

const KILL_LIMIT_MS = 10_000;

function environmentOf(pid: number): string {
  try {
    return fs.readFileSync(`/proc/${pid}/environ`, 'utf8');
  } catch {
    return '';
  }
}

function isAlive(pid: number): boolean {
  try {
    const stat = fs.readFileSync(`/proc/${pid}/stat`, 'utf8');
    return !['Z', 'X'].includes(stat.charAt(stat.lastIndexOf(')') + 2));
  } catch {
    return false;
  }
}

/** Those that were started on the machine of this folder, by whatever way: children keep their parents' variables. */
export function processesIn(folder: string): readonly number[] {
  return fs
    .readdirSync('/proc')
    .map(Number)
    .filter((pid) => Number.isInteger(pid) && pid !== process.pid && isAlive(pid))
    .filter((pid) => environmentOf(pid).includes(`=${folder}/`));
}

export function signalAll(folder: string, signal: NodeJS.Signals): readonly number[] {
  const found = processesIn(folder);
  for (const pid of found) {
    try {
      process.kill(pid, signal);
    } catch {
      // It has gone by itself.
    }
  }
  return found;
}

/** The plug is pulled. Done when no process is left. */
export async function killAll(folder: string): Promise<void> {
  const giveUpAt = performance.now() + KILL_LIMIT_MS;
  while (signalAll(folder, 'SIGKILL').length > 0) {
    if (performance.now() > giveUpAt) throw new Error(`processes of ${folder} do not end`);
    await sleep(20);
  }
}
