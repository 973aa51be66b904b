/** The DynamoDB engine of one machine: dynoxide, a child process that keeps the table in one SQLite file. */
import { type ChildProcess, spawn } from 'node:child_process';
import { realpathSync } from 'node:fs';
import { createRequire } from 'node:module';
import { connect, createServer } from 'node:net';
import path from 'node:path';
import type { Log } from '../../core/ports.ts';
import {
  argumentsOf,
  hasProcfs,
  identify,
  isAlive,
  otherPids,
  type ProcessIdentity,
  sendSignal,
  waitUntil,
} from './procfs.ts';
import { LocalSetupError } from './setupError.ts';

const ENGINE_PACKAGE = '@dynoxide/linux-x64';
const READY_LIMIT_MS = 10_000;
const POLL_MS = 3;
const STOP_LIMIT_MS = 2000;
const PORT_TRIES = 5;
const STDERR_KEPT_CHARACTERS = 4000;

export interface EngineOptions {
  /** The table's file; undefined keeps the table in memory. */
  readonly dbPath: string | undefined;
  readonly log: Log;
  /** Called when the engine ends without having been told to: from then on the table does not answer. */
  readonly onExit?: (detail: string) => void;
}

export interface Engine {
  readonly endpoint: string;
  readonly pid: number;
  /** Ends the engine, and is done when its process has gone. */
  stop(): Promise<void>;
}

/**
 * Starts the engine on a free loopback port, and is done when it answers.
 * @throws LocalSetupError when there is no engine for this platform, or it does not come up
 */
export async function startEngine(options: EngineOptions): Promise<Engine> {
  const binary = engineBinary();
  for (let tries = 1; ; tries++) {
    const port = await freePort();
    const started = await startOn(binary, port, options);
    if ('engine' in started) return started.engine;
    // Between our choice of the port and the engine's use of it another process may have taken it.
    if (!started.output.includes('already in use') || tries === PORT_TRIES) {
      throw new LocalSetupError(
        `the DynamoDB engine did not come up: ${started.detail}${started.output && `: ${started.output.trim()}`}`,
        'Correct what it says, or name another data folder with --data-dir.',
      );
    }
  }
}

/**
 * Ends every engine that still has this database open: two of them would both write the file.
 * @returns the pids that were ended, or `cannot-check` on a platform without /proc
 * @throws LocalSetupError when one of them does not go away
 */
export async function endLeftoverEngine(dbPath: string, log: Log): Promise<readonly number[] | 'cannot-check'> {
  if (!hasProcfs()) {
    log.warn('engine.leftovers_unknown', { dbPath, reason: 'this platform has no /proc to look for them' });
    return 'cannot-check';
  }
  const wanted = canonicalPath(dbPath);
  const leftovers = otherPids()
    .filter((pid) => databaseOf(pid) === wanted)
    .map(identify)
    .filter((engine) => engine !== undefined);
  for (const engine of leftovers) {
    log.warn('engine.leftover_ended', { pid: engine.pid, dbPath: wanted });
    if (await endProcess(engine)) continue;
    throw new LocalSetupError(
      `an earlier DynamoDB engine, pid ${engine.pid}, still has ${wanted} open and cannot be ended`,
      'End that process, then start again.',
    );
  }
  return leftovers.map(({ pid }) => pid);
}

function engineBinary(): string {
  try {
    // The package has no entry point, only its manifest and the binary beside it.
    const manifest = createRequire(import.meta.url).resolve(`${ENGINE_PACKAGE}/package.json`);
    return path.join(path.dirname(manifest), 'dynoxide');
  } catch (error) {
    throw new LocalSetupError(
      `the DynamoDB engine (npm package ${ENGINE_PACKAGE}) is not installed; this machine is ${process.platform}-${process.arch}`,
      'On Linux x64 run `npm install`. Elsewhere start any DynamoDB-compatible server and set CANDOR_DYNAMODB_ENDPOINT to its URL.',
      error,
    );
  }
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() =>
        typeof address === 'object' && address !== null ? resolve(address.port) : reject(new Error('no port')),
      );
    });
  });
}

type Started = { readonly engine: Engine } | { readonly detail: string; readonly output: string };

async function startOn(binary: string, port: number, { dbPath, log, onExit }: EngineOptions): Promise<Started> {
  const database = dbPath === undefined ? [] : ['--db-path', canonicalPath(dbPath)];
  // An empty environment: the engine needs nothing of ours, and so no secret of ours can be read from it.
  const child = spawn(binary, ['serve', '--host', '127.0.0.1', '--port', String(port), ...database], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: {},
    // A session of its own: Ctrl-C goes to a terminal's whole process group, and the engine must outlast our orderly stop.
    detached: true,
  });
  const life = watch(child);
  const deadline = performance.now() + READY_LIMIT_MS;
  // Its own word that it listens counts, not the port alone: another process could be listening there.
  while (!(life.announced() && (await accepts(port)))) {
    const ended = life.ended();
    if (ended !== undefined) return { detail: ended, output: life.output() };
    if (performance.now() >= deadline) {
      await stopChild(child, life);
      return { detail: `it did not answer within ${READY_LIMIT_MS / 1000} s`, output: life.output() };
    }
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
  if (child.pid === undefined) return { detail: 'it has no process', output: life.output() };
  let stopping = false;
  life.onEnd((detail) => {
    if (stopping) return;
    log.error('engine.ended', { detail, output: life.output() });
    onExit?.(detail);
  });
  const stop = async () => {
    stopping = true;
    await stopChild(child, life);
  };
  return { engine: { endpoint: `http://127.0.0.1:${port}`, pid: child.pid, stop } };
}

interface Life {
  announced(): boolean;
  ended(): string | undefined;
  /** The last part of what it wrote to stderr. */
  output(): string;
  onEnd(listener: (detail: string) => void): void;
}

function watch(child: ChildProcess): Life {
  let ended: string | undefined;
  let announced = false;
  let errors = '';
  const listeners: ((detail: string) => void)[] = [];
  const end = (detail: string) => {
    if (ended !== undefined) return;
    ended = detail;
    for (const listener of listeners) listener(detail);
  };
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    announced ||= text.includes('listening on');
  });
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    errors = (errors + text).slice(-STDERR_KEPT_CHARACTERS);
    announced ||= text.includes('listening on');
  });
  child.once('error', (error) => end(error.message));
  // `close` comes after the last of its output, `exit` may come before it.
  child.once('close', (code, signal) => end(signal === null ? `it ended with code ${code}` : `it ended by ${signal}`));
  return {
    announced: () => announced,
    ended: () => ended,
    output: () => errors,
    onEnd: (listener) => {
      if (ended === undefined) listeners.push(listener);
      else listener(ended);
    },
  };
}

async function stopChild(child: ChildProcess, life: Life): Promise<void> {
  if (life.ended() !== undefined) return;
  child.kill('SIGTERM');
  if (await waitUntil(() => life.ended() !== undefined, STOP_LIMIT_MS)) return;
  child.kill('SIGKILL');
  await waitUntil(() => life.ended() !== undefined, STOP_LIMIT_MS);
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: '127.0.0.1', port });
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}

/** The real path of a file that may not exist yet. */
function canonicalPath(file: string): string {
  const absolute = path.resolve(file);
  try {
    return realpathSync(absolute);
  } catch {
    try {
      return path.join(realpathSync(path.dirname(absolute)), path.basename(absolute));
    } catch {
      return absolute;
    }
  }
}

/** The database that a process keeps open, if it is an engine. Ours are always told the real path. */
function databaseOf(pid: number): string | undefined {
  const [binary, ...rest] = argumentsOf(pid);
  if (binary === undefined || path.basename(binary) !== 'dynoxide') return undefined;
  const option = rest.indexOf('--db-path');
  const file = option < 0 ? undefined : rest[option + 1];
  return file === undefined || !path.isAbsolute(file) ? undefined : canonicalPath(file);
}

/** SIGTERM, then SIGKILL; whether the process has gone. */
async function endProcess(engine: ProcessIdentity): Promise<boolean> {
  const gone = () => !isAlive(engine);
  sendSignal(engine.pid, 'SIGTERM');
  if (await waitUntil(gone, STOP_LIMIT_MS)) return true;
  if (isAlive(engine)) sendSignal(engine.pid, 'SIGKILL');
  return waitUntil(gone, STOP_LIMIT_MS);
}
