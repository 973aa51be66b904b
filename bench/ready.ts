/** How soon `candor dev` is ready on a data folder that it knows, and what it weighs when it has nothing to do. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { startDev, stopDev } from './dev.ts';
import { median, milliseconds } from './stats.ts';

const READY_GOAL_MS = 1500;
const IDLE_GOAL_MIB = 180;
const IDLE_AFTER_MS = 5000;

/**
 * `--starts N` (default 5) measured starts, after one that sets the folder up and is not counted; `--data-dir DIR`
 * measures on that folder instead of a new one.
 */
export async function benchReady(args: readonly string[]): Promise<void> {
  const { values } = parseArgs({
    args: [...args],
    options: { starts: { type: 'string', default: '5' }, 'data-dir': { type: 'string' } },
  });
  const folder = values['data-dir'] ?? mkdtempSync(path.join(tmpdir(), 'candor-bench-'));
  try {
    await stopDev((await startDev(folder)).child);
    const times: number[] = [];
    for (let number = 1; number <= Number(values.starts); number++) {
      const { child, readyMs } = await startDev(folder);
      process.stdout.write(`start ${number}: ready after ${milliseconds(readyMs)}\n`);
      times.push(readyMs);
      await stopDev(child);
    }
    report('median', median(times), READY_GOAL_MS, 'ms');
    await reportMemory(folder);
  } finally {
    if (values['data-dir'] === undefined) rmSync(folder, { recursive: true, force: true });
  }
}

async function reportMemory(folder: string): Promise<void> {
  const { child, enginePid } = await startDev(folder);
  try {
    await sleep(IDLE_AFTER_MS);
    report(`candor dev, idle for ${IDLE_AFTER_MS / 1000} s`, residentMiB(child.pid), IDLE_GOAL_MIB, 'MiB');
    process.stdout.write(`its DynamoDB engine: ${residentMiB(enginePid).toFixed(0)} MiB\n`);
  } finally {
    await stopDev(child);
  }
}

/** Resident set size, as the kernel counts it (Linux). */
function residentMiB(pid = 0): number {
  const status = pid === 0 ? '' : readFileSync(`/proc/${pid}/status`, 'utf8');
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1] ?? Number.NaN) / 1024;
}

function report(what: string, value: number, goal: number, unit: string): void {
  const verdict = value <= goal ? 'within' : 'ABOVE';
  process.stdout.write(`${what}: ${value.toFixed(0)} ${unit} (${verdict} the goal of ${goal} ${unit})\n`);
  if (value > goal) process.exitCode = 1;
}
