/**
 * One owner per data folder, as a lock that is *held*: a listening socket whose name is derived from the folder. The kernel
 * lets go of it with the process, however that ends, so there is no stale lock and no pid to be mistaken for another's.
 *
 * On Linux the socket is abstract (it has no file); it belongs to the network namespace, so two containers that share a
 * folder do not see each other's lock.
 */
import { createHash } from 'node:crypto';
import { realpath, rm } from 'node:fs/promises';
import { connect, createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import * as z from 'zod';
import { hasCode } from './files.ts';
import { LocalSetupError } from './setupError.ts';

const ANSWER_LIMIT_MS = 2000;

const Facts = z.object({ pid: z.int(), url: z.string().optional() });

/** What the holder of a lock says about itself. */
export type LockFacts = z.infer<typeof Facts>;

/** Another process owns the folder. */
export class DataDirInUse extends LocalSetupError {
  /** The owner, as far as it answered. */
  readonly holder: LockFacts | undefined;

  constructor(folder: string, holder: LockFacts | undefined) {
    const who = holder === undefined ? 'another process that does not say who it is' : `candor dev, pid ${holder.pid}`;
    const where = holder?.url === undefined ? '' : ` (${holder.url})`;
    super(
      `the data folder ${folder} is in use by ${who}${where}`,
      'Use that one, stop it first, or name another folder with --data-dir.',
    );
    this.name = 'DataDirInUse';
    this.holder = holder;
  }
}

export interface DataDirLock {
  /** What a process that is refused the lock is told besides our pid. */
  describe(facts: { readonly url?: string }): void;
  release(): Promise<void>;
}

/**
 * @param dataDir a folder that exists
 * @throws DataDirInUse when another process, or this one, holds the lock
 */
export async function acquireLock(dataDir: string): Promise<DataDirLock> {
  const folder = await realpath(dataDir);
  const address = addressOf(folder);
  let facts: LockFacts = { pid: process.pid };
  const server = createServer((socket) => {
    // Whoever asks and then hangs up is none of our concern.
    socket.on('error', () => undefined);
    socket.end(`${JSON.stringify(facts)}\n`);
  });
  if (!(await listens(server, address))) {
    const holder = await askHolder(address);
    if (holder !== 'nobody') throw new DataDirInUse(folder, holder);
    // A file that nobody listens on was left behind by a process that is gone; an abstract socket never is.
    if (path.isAbsolute(address)) await rm(address, { force: true });
    if (!(await listens(server, address))) throw new DataDirInUse(folder, undefined);
  }
  // The lock alone is no reason for the process to stay.
  server.unref();
  return {
    describe: ({ url }) => {
      facts = { pid: process.pid, ...(url !== undefined && { url }) };
    },
    release: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
      }),
  };
}

function addressOf(folder: string): string {
  const name = `candor-${createHash('sha256').update(folder).digest('hex').slice(0, 40)}`;
  if (process.platform === 'linux') return `\0${name}`;
  if (process.platform === 'win32') return `\\\\.\\pipe\\${name}`;
  return path.join(tmpdir(), `${name}.sock`);
}

/** Whether the address is ours now; false if somebody else's. */
function listens(server: Server, address: string): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const failed = (error: Error) => (hasCode(error, 'EADDRINUSE') ? resolve(false) : reject(error));
    server.once('error', failed);
    server.listen(address, () => {
      server.off('error', failed);
      resolve(true);
    });
  });
}

/** What the holder says of itself; undefined if it says nothing intelligible in time, `nobody` if there is none. */
function askHolder(address: string): Promise<LockFacts | undefined | 'nobody'> {
  return new Promise((resolve) => {
    let text = '';
    const socket = connect(address);
    socket.setEncoding('utf8');
    socket.setTimeout(ANSWER_LIMIT_MS, () => socket.destroy());
    socket.on('data', (part: string) => {
      text += part;
    });
    socket.on('error', (error) => {
      if (hasCode(error, 'ECONNREFUSED', 'ENOENT')) resolve('nobody');
    });
    socket.on('close', () => resolve(parseFacts(text)));
  });
}

function parseFacts(text: string): LockFacts | undefined {
  try {
    return Facts.safeParse(JSON.parse(text)).data;
  } catch {
    return undefined;
  }
}
