/**
 * The agent's setup: commands that are done once on a VM, before the first run that asks for them. A file named by the
 * commands says that they are done. It is written once all of them have succeeded, so what a crash has cut short is done
 * again from the start.
 */
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { createExclusively, readJson, writeAtomically } from './files.ts';
import { currentBootId, isAlive, livingProcess, monotonicMs } from './proc.ts';
import type { Stage } from './stage.ts';

const LOCK_LOOK_MS = 100;

export interface SetupPlan {
  readonly commands: readonly (readonly string[])[];
  readonly timeoutMs: number;
  readonly env: Readonly<Record<string, string>>;
  /** Where it is written down what has been done on this VM. */
  readonly folder: string;
  readonly workingFolder: string;
}

/** Does the setup unless it has been done. Of several runs at a time one does it, and the others wait for it. */
export async function setUp(stage: Stage, plan: SetupPlan): Promise<void> {
  const { commands, folder, workingFolder: cwd, env, timeoutMs } = plan;
  const name = createHash('sha256').update(JSON.stringify(commands)).digest('hex').slice(0, 32);
  const marker = path.join(folder, `${name}.done`);
  const isDone = () => fs.existsSync(marker);
  if (isDone()) return;
  for (const needed of [folder, cwd]) fs.mkdirSync(needed, { recursive: true, mode: 0o700 });
  stage.handOver([cwd]);
  const lock = await waitForLock(stage, folder, isDone);
  if (lock === undefined) return;
  try {
    stage.say(`Setup begins: ${commands.length} ${commands.length === 1 ? 'command' : 'commands'}.`);
    const startedMs = monotonicMs();
    await stage.within(timeoutMs, async () => {
      for (const argv of commands) await stage.command(argv, { cwd, env });
    });
    stage.say(`Setup ended after ${Math.round(monotonicMs() - startedMs)} ms.${writeMarker(marker)}`);
  } finally {
    // An empty lock is held by nobody; and to make a file empty needs no room on the disk.
    fs.truncateSync(lock);
  }
}

/** Answers what is to be said if it cannot be written: then the setup is only done once more by the next run. */
function writeMarker(marker: string): string {
  try {
    writeAtomically(marker, '{}');
    return '';
  } catch (error) {
    return ` It could not be written down (${String(error)}), so the next run will do it again.`;
  }
}

/** Answers the lock, or undefined once the setup is done. */
async function waitForLock(stage: Stage, folder: string, isDone: () => boolean): Promise<string | undefined> {
  for (let looks = 0; ; looks += 1) {
    const lock = takeLock(folder);
    if (lock !== undefined && !isDone()) return lock;
    if (lock !== undefined) fs.truncateSync(lock);
    if (isDone()) return undefined;
    if (looks === 0) stage.say('Another run of this VM is doing the setup, which is waited for.');
    await stage.sleep(LOCK_LOOK_MS);
  }
}

/**
 * Locks are numbered, and the one with the highest number counts: it is held as long as the process that is named in it
 * lives. So one that a dead process has left is never removed, which two could do at the same time, the later one to the
 * lock of the earlier; the next number is taken instead, which only one can.
 */
export function takeLock(folder: string): string | undefined {
  const self = livingProcess(process.pid);
  const last = lastLock(folder);
  if (!self || isHeld(path.join(folder, `lock.${last}`))) return undefined;
  const own = last + 1;
  const file = path.join(folder, `lock.${own}`);
  if (!createExclusively(file, JSON.stringify({ ...self, bootId: currentBootId() }))) return undefined;
  if (lastLock(folder) > own) {
    // Since the first look others have held the lock and tidied up behind them, this number included.
    fs.rmSync(file, { force: true });
    return undefined;
  }
  for (const number of lockNumbers(folder)) {
    if (number < own) fs.rmSync(path.join(folder, `lock.${number}`), { force: true });
  }
  return file;
}

const lockNumbers = (folder: string): number[] =>
  fs.readdirSync(folder).flatMap((name) => {
    const number = /^lock\.(\d+)$/.exec(name)?.[1];
    return number === undefined ? [] : [Number(number)];
  });

const lastLock = (folder: string): number => Math.max(0, ...lockNumbers(folder));

function isHeld(lock: string): boolean {
  const { pid, startTicks, bootId } = (readJson(lock) ?? {}) as Readonly<Record<string, unknown>>;
  if (typeof pid !== 'number' || typeof startTicks !== 'number') return false;
  return bootId === currentBootId() && isAlive({ pid, startTicks });
}
