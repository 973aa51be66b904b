/** How soon `candor dev` is ready on a data folder that it knows, and what it weighs when it has nothing to do. */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { median, milliseconds } from './stats.ts';

const CANDOR = fileURLToPath(new URL('../cli/candor.mjs', import.meta.url));
const READY_GOAL_MS = 1500;
const IDLE_GOAL_MIB = 180;
const IDLE_AFTER_MS = 5000;
const GIVE_UP_MS = 30_000;

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
    await stop((await start(folder)).child);
    const times: number[] = [];
    for (let number = 1; number <= Number(values.starts); number++) {
      const { child, readyMs } = await start(folder);
      process.stdout.write(`start ${number}: ready after ${milliseconds(readyMs)}\n`);
      times.push(readyMs);
      await stop(child);
    }
    report('median', median(times), READY_GOAL_MS, 'ms');
    await reportMemory(folder);
  } finally {
    if (values['data-dir'] === undefined) rmSync(folder, { recursive: true, force: true });
  }
}

interface Started {
  readonly child: ChildProcess;
  readonly enginePid: number | undefined;
  /** From just before the process was made to its line that says where it listens. */
  readonly readyMs: number;
}

async function start(folder: string): Promise<Started> {
  const startedAtMs = performance.now();
  const child = spawn(process.execPath, [CANDOR, 'dev', '--data-dir', folder, '--json'], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let said = '';
  child.stderr.setEncoding('utf8').on('data', (part: string) => {
    said += part;
  });
  const line = await new Promise<string>((resolve, reject) => {
    let text = '';
    child.stdout.setEncoding('utf8').on('data', (part: string) => {
      text += part;
      if (text.includes('\n')) resolve(text);
    });
    child.once('error', reject);
    child.once('exit', (code) => reject(new Error(`candor dev ended with ${code} before it was ready: ${said}`)));
    AbortSignal.timeout(GIVE_UP_MS).addEventListener('abort', () => {
      child.kill('SIGKILL');
      reject(new Error(`candor dev was not ready within ${GIVE_UP_MS / 1000} s`));
    });
  });
  const readyMs = performance.now() - startedAtMs;
  if (!existsSync(path.join(folder, 'endpoint.json')))
    throw new Error('it says that it is ready, without endpoint.json');
  const { enginePid } = JSON.parse(line) as { readonly enginePid?: number };
  return { child, enginePid, readyMs };
}

async function stop(child: ChildProcess): Promise<void> {
  const gone = new Promise((resolve) => child.once('close', resolve));
  child.removeAllListeners('exit');
  child.kill('SIGTERM');
  await gone;
}

async function reportMemory(folder: string): Promise<void> {
  const { child, enginePid } = await start(folder);
  try {
    await sleep(IDLE_AFTER_MS);
    report(`candor dev, idle for ${IDLE_AFTER_MS / 1000} s`, residentMiB(child.pid), IDLE_GOAL_MIB, 'MiB');
    process.stdout.write(`its DynamoDB engine: ${residentMiB(enginePid).toFixed(0)} MiB\n`);
  } finally {
    await stop(child);
  }
}

/** Resident set size, as the kernel counts it (Linux). */
function residentMiB(pid: number | undefined): number {
  const status = pid === undefined ? '' : readFileSync(`/proc/${pid}/status`, 'utf8');
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1] ?? Number.NaN) / 1024;
}

function report(what: string, value: number, goal: number, unit: string): void {
  const verdict = value <= goal ? 'within' : 'ABOVE';
  process.stdout.write(`${what}: ${value.toFixed(0)} ${unit} (${verdict} the goal of ${goal} ${unit})\n`);
  if (value > goal) process.exitCode = 1;
}
