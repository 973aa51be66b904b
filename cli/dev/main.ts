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
  readonly environment: Readonly<Record<string, string | undefined>>;
}

/** Runs until SIGINT or SIGTERM. Answers the exit code: 0 after a clean stop, 1 if it could not start or lost its engine. */
export async function runDev(args: DevArgs): Promise<number> {
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
  const cause = await Promise.race([signalled(), server.broken]);
  if (cause.kind === 'broken') {
    process.stderr.write(`candor dev: ${cause.detail}. Live runs go on; start it again with the same --data-dir.\n`);
    await server.abandon();
    return 1;
  }
  process.stderr.write(args.keep ? 'stopping; live runs go on\n' : 'stopping; live runs are cancelled\n');
  await server.stop({ keep: args.keep, hurry: signalled(), say: (line) => process.stderr.write(`${line}\n`) });
  return 0;
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

function signalled(): Promise<{ readonly kind: 'signal'; readonly name: NodeJS.Signals }> {
  return new Promise((resolve) => {
    for (const name of ['SIGINT', 'SIGTERM'] as const) process.once(name, () => resolve({ kind: 'signal', name }));
  });
}
