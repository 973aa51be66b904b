/** `candor dev`: the whole of Candor on one machine (design.md §9). */

import { createLog } from '../../adapters/local/log.ts';
import { LocalSetupError } from '../../adapters/local/setupError.ts';
import { type DevServer, startDev } from './server.ts';

export interface DevArgs {
  /** 0 means any free port; absent means the port of the last time, or any. */
  readonly port?: number;
  readonly dataDir: string;
  readonly json: boolean;
  /** Leave live runs running at a clean stop, for the next start to take up. */
  readonly keep: boolean;
  /** `none`: every run fails, for no VM is launched for it; the default launches them on this machine. */
  readonly launches?: 'here' | 'none';
  /** Webhooks may go to http, to this machine and to its network: for trying them out. */
  readonly allowPrivateWebhooks?: boolean;
  /** Sign the tokens of runners and runs with a new key; the one before it still verifies. */
  readonly rotateSigningKey?: boolean;
  readonly environment: Readonly<Record<string, string | undefined>>;
}

const NO_LAUNCHES =
  'WARNING: --fleet none: this server launches no VM. Every run fails. It is for tests of the API, not for work.\n';

const STOP_SIGNALS = ['SIGINT', 'SIGTERM'] as const;

/** Runs until SIGINT or SIGTERM. Answers the exit code: 0 after a clean stop, 1 if it could not start or lost its engine. */
export async function runDev(args: DevArgs): Promise<number> {
  // From the first moment on: a signal that meets nobody would end this process and leave its engine behind.
  const signals = listenForSignals();
  const log = createLog({ level: args.environment.CANDOR_LOG === 'info' ? 'info' : 'warn' });
  let server: DevServer;
  try {
    server = await startDev({ ...args, log });
  } catch (error) {
    if (!(error instanceof LocalSetupError)) throw error;
    process.stderr.write(`candor dev: ${error.message}\n${error.remedy}\n`);
    return 1;
  }
  announce(server, args);
  if (args.launches === 'none') process.stderr.write(NO_LAUNCHES);
  const cause = await Promise.race([signals.first, server.broken]);
  if (cause.kind === 'broken') return giveUp(server, cause.detail);
  process.stderr.write(args.keep ? 'stopping; live runs go on\n' : 'stopping; live runs are cancelled\n');
  const say = (line: string) => process.stderr.write(`${line}\n`);
  const failure = await Promise.race([
    server.stop({ keep: args.keep, hurry: signals.second, say }).then(
      () => undefined,
      (error: unknown) => `it could not stop in good order: ${error instanceof Error ? error.message : String(error)}`,
    ),
    server.broken.then(({ detail }) => detail),
  ]);
  return failure === undefined ? 0 : giveUp(server, failure);
}

/** Without its table it can give nobody a verdict: the work is left to the next start. */
async function giveUp(server: DevServer, detail: string): Promise<number> {
  process.stderr.write(`candor dev: ${detail}. Live runs go on; start it again with the same --data-dir.\n`);
  await server.abandon();
  return 1;
}

function announce(server: DevServer, args: DevArgs): void {
  const { url, token, enginePid } = server;
  if (args.json) {
    process.stdout.write(`${JSON.stringify({ url, token, pid: process.pid, enginePid, dataDir: server.dataDir })}\n`);
    return;
  }
  process.stdout.write(
    `Candor is ready at ${url} (data in ${server.dataDir}, ready after ${Math.round(process.uptime() * 1000)} ms)\n`,
  );
  process.stderr.write(`Other commands find it with --data-dir ${server.dataDir}. Ctrl-C stops it.\n`);
}

interface Signals {
  /** Stop. */
  readonly first: Promise<{ readonly kind: 'signal' }>;
  /** Stop at once. A third one meets nobody, and ends the process as it stands. */
  readonly second: Promise<void>;
}

function listenForSignals(): Signals {
  const first = Promise.withResolvers<{ readonly kind: 'signal' }>();
  const second = Promise.withResolvers<void>();
  let count = 0;
  const onSignal = () => {
    count++;
    first.resolve({ kind: 'signal' });
    if (count < 2) return;
    second.resolve();
    for (const name of STOP_SIGNALS) process.off(name, onSignal);
  };
  for (const name of STOP_SIGNALS) process.on(name, onSignal);
  return { first: first.promise, second: second.promise };
}
