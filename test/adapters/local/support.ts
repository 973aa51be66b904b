/** What the tests of this folder share: temporary folders, and processes that are ended again. */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, vi } from 'vitest';
import { createLog } from '../../../adapters/local/log.ts';

const cleanups: (() => unknown)[] = [];

/** Runs after the test, last registered first. */
export const afterThisTest = (cleanup: () => unknown): void => {
  cleanups.push(cleanup);
};

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

export function temporaryFolder(): string {
  const folder = realpathSync(mkdtempSync(path.join(tmpdir(), 'candor-test-')));
  afterThisTest(() => rmSync(folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 50 }));
  return folder;
}

export const eventually = <T>(check: () => T | Promise<T>): Promise<T> =>
  vi.waitFor(check, { timeout: 15_000, interval: 10 });

export const silent = createLog({ level: 'silent' });

export const fixture = (name: string): string => fileURLToPath(new URL(`./fixtures/${name}`, import.meta.url));

export interface Program {
  readonly child: ChildProcess;
  readonly pid: number;
  /** The JSON value on its first line of output. */
  readonly ready: Readonly<Record<string, unknown>>;
}

/** Starts a fixture and waits for its first line. It is killed after the test. */
export function startProgram(name: string, ...args: readonly string[]): Promise<Program> {
  const child = spawn(process.execPath, [fixture(name), ...args], { stdio: ['ignore', 'pipe', 'inherit'] });
  afterThisTest(() => child.kill('SIGKILL'));
  return new Promise((resolve, reject) => {
    let text = '';
    child.once('error', reject);
    child.once('exit', (code) => reject(new Error(`${name} ended with ${code} before it was ready`)));
    child.stdout.setEncoding('utf8').on('data', (part: string) => {
      text += part;
      if (text.includes('\n')) resolve({ child, pid: child.pid ?? 0, ready: JSON.parse(text.split('\n')[0] ?? '') });
    });
  });
}
