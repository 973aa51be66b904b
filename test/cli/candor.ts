/** Runs the real command in a real process. */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll } from 'vitest';

export const LAUNCHER = fileURLToPath(new URL('../../cli/candor.mjs', import.meta.url));

export interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface Started {
  readonly child: ChildProcess;
  readonly ended: Promise<Ended>;
  readonly stdout: () => string;
  readonly stderr: () => string;
}

export interface RunOptions {
  readonly env?: Readonly<Record<string, string | undefined>>;
  readonly stdin?: string;
  readonly cwd?: string;
  /** Leaves standard input open, for the test to write to. */
  readonly keepStdin?: true;
  readonly nodeArgs?: readonly string[];
}

/** An environment without what the person who runs the tests has set for themselves. */
const cleanEnvironment = (): NodeJS.ProcessEnv =>
  Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !/^(CANDOR_|NO_COLOR|FORCE_COLOR|VITEST)/.test(name)),
  );

export function start(args: readonly string[], options: RunOptions = {}): Started {
  const child = spawn(process.execPath, [...(options.nodeArgs ?? []), LAUNCHER, ...args], {
    env: { ...cleanEnvironment(), ...options.env },
    cwd: options.cwd ?? emptyFolder(),
    stdio: 'pipe',
  });
  return observed(child, options);
}

/** Runs a shell line in which `candor` is the command. */
export function startShell(line: string, options: RunOptions = {}): Started {
  const candor = `candor() { '${process.execPath}' '${LAUNCHER}' "$@"; }`;
  const child = spawn('bash', ['-c', `${candor}\n${line}`], {
    env: { ...cleanEnvironment(), ...options.env },
    cwd: options.cwd ?? emptyFolder(),
    stdio: 'pipe',
  });
  return observed(child, options);
}

function observed(child: ChildProcess, { stdin = '', keepStdin }: RunOptions): Started {
  let stdout = '';
  let stderr = '';
  child.stdout!.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
  });
  child.stderr!.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  child.stdin!.on('error', () => undefined);
  if (!keepStdin) child.stdin!.end(stdin);
  const ended = new Promise<Ended>((resolve) => {
    child.on('close', (code, signal) => resolve({ code, signal, stdout, stderr }));
  });
  return { child, ended, stdout: () => stdout, stderr: () => stderr };
}

export const candor = (args: readonly string[], options: RunOptions = {}): Promise<Ended> => start(args, options).ended;

const folders: string[] = [];
afterAll(() => {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});

/** Removed when the file's tests are over. */
export function emptyFolder(): string {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'candor-cli-'));
  folders.push(folder);
  return folder;
}

/** Waits until something is so, at most 15 seconds. */
export async function until(what: string, holds: () => boolean): Promise<void> {
  const untilMs = Date.now() + 15_000;
  while (!holds()) {
    if (Date.now() > untilMs) throw new Error(`waited in vain until ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
