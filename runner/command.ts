/** Runs a command for the shim, in a session of its own, and hands on what it puts out. */
import { type ChildProcess, type StdioOptions, spawn, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import { Socket, type SocketConstructorOpts } from 'node:net';
import path from 'node:path';
import { monotonicMs } from './proc.ts';
import type { RunAs } from './runAs.ts';

/** How long output is still read after the command's end while a background child keeps the pipes open. */
const PIPES_GRACE_MS = 1000;

export interface Command {
  readonly argv: readonly string[];
  readonly cwd: string;
  readonly env: Readonly<Record<string, string>>;
  /** A file descriptor, or nothing to read. */
  readonly input: number | 'ignore';
  /** Absent: as whoever runs this. */
  readonly runAs?: RunAs | undefined;
}

/** Either of `exitCode` and `signal`; `spawnError` says why there was no process. */
export interface Ending {
  readonly exitCode?: number;
  readonly signal?: string;
  readonly spawnError?: string;
  readonly endedMonotonicMs: number;
}

export interface Execution {
  /** Undefined if it could not be started. */
  readonly pid: number | undefined;
  /** Once it has ended and all that it has put out has been handed on. */
  readonly ended: Promise<Ending>;
}

const READ_BYTES = 64 * 1024;
const STREAMS = ['stdout', 'stderr'] as const;

/** The data are the reader's: they are gone when this returns. */
export type Take = (stream: 'stdout' | 'stderr', data: Buffer) => void;

/** Starts a command. Never throws for what is wrong with it. `folder` is where named pipes may lie for a moment. */
export function execute(command: Command, folder: string, take: Take): Execution {
  const pipes = openPipes(folder, command, take);
  const child = start(command, pipes.stdio);
  const outputs = pipes.opened('on' in child ? child : undefined);
  if (!('on' in child)) {
    for (const stream of outputs) stream.destroy();
    return { pid: undefined, ended: Promise.resolve(child) };
  }
  const ended = endOf(child, outputs).finally(() => {
    // Whoever still writes there has been left running by a command that has ended.
    for (const stream of outputs) stream.destroy();
  });
  return { pid: child.pid, ended };
}

function start({ argv, cwd, env, runAs }: Command, stdio: StdioOptions): ChildProcess | Ending {
  if (!fs.statSync(cwd, { throwIfNoEntry: false })?.isDirectory()) {
    const spawnError = `the working directory ${cwd} does not exist`;
    return { exitCode: 127, spawnError, endedMonotonicMs: monotonicMs() };
  }
  try {
    const [file = '', ...args] = argv;
    const user = runAs === undefined ? {} : { uid: runAs.uid, gid: runAs.gid };
    return spawn(file, args, { cwd, env, detached: true, stdio, ...user });
  } catch (error) {
    return { exitCode: 126, spawnError: String(error), endedMonotonicMs: monotonicMs() };
  }
}

function endOf(child: ChildProcess, outputs: readonly Output[]): Promise<Ending> {
  return new Promise((resolve) => {
    let open = outputs.length;
    let exited: (() => void) | undefined;
    for (const stream of outputs) {
      stream.on('error', () => {});
      stream.on('close', () => {
        open -= 1;
        if (open === 0) exited?.();
      });
    }
    child.on('error', (error: NodeJS.ErrnoException) => {
      if (child.pid !== undefined) return;
      const exitCode = error.code === 'EACCES' ? 126 : 127;
      resolve({ exitCode, spawnError: error.message, endedMonotonicMs: monotonicMs() });
    });
    child.on('exit', (exitCode, signal) => {
      const endedMonotonicMs = monotonicMs();
      const ending = signal === null ? { exitCode: exitCode ?? 0 } : { signal };
      exited = () => resolve({ ...ending, endedMonotonicMs });
      if (open === 0) exited();
      // Two rounds of the event loop read what lies in the pipes even if this process was held up for all of the wait.
      setTimeout(() => setImmediate(() => setImmediate(() => exited?.())), PIPES_GRACE_MS);
    });
  });
}

type Output = NodeJS.ReadableStream & { destroy(): unknown };

interface Pipes {
  readonly stdio: StdioOptions;
  /** To be called once the child has the writing ends. */
  readonly opened: (child: ChildProcess | undefined) => readonly Output[];
}

/**
 * Named pipes for the command's output. Node's own "pipes" are sockets, on which a script's `echo > /dev/stderr` fails
 * with ENXIO. Where no named pipe can be made, node's are better than none.
 */
function openPipes(folder: string, { input, runAs }: Command, take: Take): Pipes {
  const pairs = STREAMS.map((name) => ({ name, fifo: path.join(folder, `${name}.fifo`) }));
  const fifos = pairs.map(({ fifo }) => fifo);
  const { O_RDONLY, O_WRONLY, O_NONBLOCK } = fs.constants;
  if (spawnSync('mkfifo', ['-m', '600', ...fifos], { stdio: 'ignore' }).status !== 0) {
    return {
      stdio: [input, 'pipe', 'pipe'],
      opened: (child) => STREAMS.flatMap((name) => child?.[name]?.on('data', (data: Buffer) => take(name, data)) ?? []),
    };
  }
  // Its /dev/stdout opens the pipe anew, as the user that it is.
  if (runAs !== undefined) for (const fifo of fifos) fs.chownSync(fifo, runAs.uid, runAs.gid);
  const readers = pairs.map(({ name, fifo }) => ({ name, fd: fs.openSync(fifo, O_RDONLY | O_NONBLOCK) }));
  const writers = fifos.map((fifo) => fs.openSync(fifo, O_WRONLY));
  for (const fifo of fifos) fs.unlinkSync(fifo);
  return {
    stdio: [input, ...writers],
    opened: () => {
      for (const fd of writers) fs.closeSync(fd);
      return readers.map(({ name, fd }) => reader(fd, (data) => take(name, data)));
    },
  };
}

/** Reads into one buffer over and over: fresh ones for a flood of output would pile up before they are let go of. */
function reader(fd: number, take: (data: Buffer) => void): Socket {
  const options: SocketConstructorOpts = {
    fd,
    readable: true,
    writable: false,
    onread: {
      buffer: Buffer.allocUnsafe(READ_BYTES),
      callback: (bytes, buffer) => {
        take(Buffer.from(buffer.buffer, buffer.byteOffset, bytes));
        return true;
      },
    },
  };
  return new Socket(options).resume();
}
