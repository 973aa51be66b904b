/** Starts the emulator on loopback, in a process group of its own with the Lambdas' workers, and ends all of it again. */
import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import fs from 'node:fs';
import { createServer } from 'node:net';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { EmulatorSetupError, type Installed } from './install.ts';

/** What the emulator lacks is put in as it starts. */
const SHIMS = fileURLToPath(new URL('./shims.py', import.meta.url));
const READY_LIMIT_MS = 60_000;
const STOP_LIMIT_MS = 5000;
const POLL_MS = 100;

/** Of the emulated account. The credentials are none: the emulator takes any. */
export const ACCOUNT = '000000000000';
export const REGION = 'us-east-1';
const CREDENTIALS = { AWS_ACCESS_KEY_ID: 'test', AWS_SECRET_ACCESS_KEY: 'test' };

export interface Emulator {
  readonly url: string;
  readonly port: number;
  readonly version: string;
  readonly logFile: string;
  /** With these variables an SDK or the CDK CLI talks to the emulator and to nothing else. */
  readonly environment: Readonly<Record<string, string>>;
  alive(): boolean;
  /** Ends the emulator and every process of its group; again is harmless. */
  stop(): Promise<void>;
}

export interface EmulatorOptions {
  /** Its state, its log and the code of its Lambdas: nothing of it outside of this folder. */
  readonly folder: string;
  /** Endpoints that the emulated Lambdas use instead of the emulator's own, as `AWS_ENDPOINT_URL_…` variables. */
  readonly lambdaEndpoints?: Readonly<Record<string, string>>;
  /** Chosen by the caller where the endpoints above must know it. */
  readonly port?: number;
}

export function freePort(): Promise<number> {
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

/** @throws EmulatorSetupError where it does not come up; its log is quoted */
export async function startEmulator(installed: Installed, options: EmulatorOptions): Promise<Emulator> {
  const { folder } = options;
  const port = options.port ?? (await freePort());
  const url = `http://127.0.0.1:${port}`;
  const temporary = path.join(folder, 'tmp');
  fs.mkdirSync(temporary, { recursive: true });
  const logFile = path.join(folder, 'emulator.log');
  // Its health answer carries this: so that nobody else's emulator on the same port is taken for ours.
  const mark = randomUUID();
  const log = fs.openSync(logFile, 'a');
  const child = spawn(installed.python, [SHIMS], {
    cwd: folder,
    // A group of its own: ended as a whole, and not by the terminal's Ctrl-C before we have cleaned up.
    detached: true,
    stdio: ['ignore', log, log],
    env: {
      // The Lambdas run on the very Node that runs this, whatever else the machine has.
      PATH: `${path.dirname(process.execPath)}${path.delimiter}${process.env.PATH ?? ''}`,
      HOME: folder,
      TMPDIR: temporary,
      STATE_DIR: path.join(folder, 'state'),
      S3_DATA_DIR: path.join(folder, 's3'),
      GATEWAY_PORT: String(port),
      BIND_HOST: '127.0.0.1',
      MINISTACK_HOST: 'localhost',
      MINISTACK_ACCOUNT_ID: ACCOUNT,
      MINISTACK_REGION: REGION,
      // A Lambda's worker otherwise stays for minutes after its last call, on machines with little memory.
      LAMBDA_WARM_TTL_SECONDS: '60',
      ...CREDENTIALS,
      ...options.lambdaEndpoints,
      MINISTACK_EDITION: mark,
    },
  });
  fs.closeSync(log);
  let ended: string | undefined;
  child.once('error', (error) => {
    ended = error.message;
  });
  child.once('exit', (code, signal) => {
    ended = `it ended with ${code ?? signal}`;
  });
  const stop = () => endGroup(child.pid, () => ended !== undefined);
  const readyBy = performance.now() + READY_LIMIT_MS;
  while (!(await isReady(url, mark))) {
    if (ended === undefined && performance.now() < readyBy) {
      await sleep(POLL_MS);
      continue;
    }
    await stop();
    throw new EmulatorSetupError(
      `the emulator did not come up: ${ended ?? `it does not answer on port ${port}`}`,
      `Its log ends with: ${fs.readFileSync(logFile, 'utf8').slice(-1500)}`,
    );
  }
  return {
    url,
    port,
    version: installed.version,
    logFile,
    environment: {
      AWS_ENDPOINT_URL: url,
      AWS_REGION: REGION,
      AWS_DEFAULT_REGION: REGION,
      AWS_EC2_METADATA_DISABLED: 'true',
      // Neither the user's profiles nor their credentials may come into this.
      AWS_CONFIG_FILE: path.join(folder, 'no-config'),
      AWS_SHARED_CREDENTIALS_FILE: path.join(folder, 'no-credentials'),
      ...CREDENTIALS,
    },
    alive: () => ended === undefined,
    stop,
  };
}

async function isReady(url: string, mark: string): Promise<boolean> {
  const ask = (path: string) => fetch(`${url}/_ministack/${path}`, { signal: AbortSignal.timeout(2000) });
  try {
    const health = (await (await ask('health')).json()) as { readonly edition?: string };
    return health.edition === mark && (await ask('ready')).ok;
  } catch {
    return false;
  }
}

function signalGroup(pid: number, signal: NodeJS.Signals | 0): boolean {
  try {
    process.kill(-pid, signal);
    return true;
  } catch {
    return false;
  }
}

/** SIGTERM to the group, then SIGKILL to what is left of it; done when none of it is. */
async function endGroup(pid: number | undefined, leaderGone: () => boolean): Promise<void> {
  if (pid === undefined) return;
  for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
    signalGroup(pid, signal);
    const giveUpAt = performance.now() + STOP_LIMIT_MS;
    while (performance.now() < giveUpAt) {
      if (leaderGone() && !signalGroup(pid, 0)) return;
      await sleep(POLL_MS);
    }
  }
}
