/** A `candor dev` in a process of its own, for benchmarks that measure the whole of it. */
import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const CANDOR = fileURLToPath(new URL('../cli/candor.mjs', import.meta.url));
const READY_MS_MAX = 30_000;

export interface Dev {
  readonly child: ChildProcess;
  readonly enginePid: number;
  readonly url: string;
  readonly token: string;
  /** From just before the process was made to its line that says where it listens. */
  readonly readyMs: number;
}

/** @throws Error with what it said last, when it ends or is not ready in time */
export async function startDev(folder: string, ...options: readonly string[]): Promise<Dev> {
  const startedAtMs = performance.now();
  const child = spawn(process.execPath, [CANDOR, 'dev', '--data-dir', folder, '--json', ...options], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let said = '';
  child.stderr.setEncoding('utf8').on('data', (part: string) => {
    said = (said + part).slice(-4000);
  });
  const line = await new Promise<string>((resolve, reject) => {
    const late = setTimeout(() => {
      child.kill('SIGKILL');
      reject(new Error(`candor dev was not ready within ${READY_MS_MAX / 1000} s`));
    }, READY_MS_MAX);
    let text = '';
    child.stdout.setEncoding('utf8').on('data', (part: string) => {
      text += part;
      if (!text.includes('\n')) return;
      clearTimeout(late);
      resolve(text);
    });
    child.once('error', reject);
    child.once('exit', (code) => reject(new Error(`candor dev ended with ${code} before it was ready: ${said}`)));
  });
  const readyMs = performance.now() - startedAtMs;
  const { enginePid = 0 } = JSON.parse(line) as { readonly enginePid?: number };
  const endpoint = JSON.parse(readFileSync(path.join(folder, 'endpoint.json'), 'utf8')) as Pick<Dev, 'url' | 'token'>;
  return { child, enginePid, url: endpoint.url, token: endpoint.token, readyMs };
}

export async function stopDev(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null) return;
  const gone = new Promise((resolve) => child.once('close', resolve));
  child.removeAllListeners('exit');
  child.kill('SIGTERM');
  await gone;
}
