/** The program on the VM: `node runner/main.ts --dir <folder of the VM>`. */
import { randomUUID } from 'node:crypto';
import fs from 'node:fs';
import module from 'node:module';
import path from 'node:path';
import v8 from 'node:v8';
import { Host } from './host.ts';
import { Journal } from './journal.ts';
import { Lease } from './lease.ts';
import { log } from './log.ts';
import { monotonicMs } from './proc.ts';
import { Session } from './session.ts';
import { type Identity, readIdentity, readSettings, type Settings } from './settings.ts';

const RUNNER_VERSION = '0.1.0';

async function main(settings: Settings): Promise<void> {
  const { vmDir } = settings;
  if (fs.existsSync(path.join(vmDir, 'stopped'))) return;
  const identity = await ownIdentity(settings);
  if (!identity) throw new Error(`${path.join(vmDir, 'runner.json')} is missing or not valid`);
  // Whoever reads the log may be gone before the runner is.
  process.stderr.on('error', () => {});
  // An upgrade or a restart of the runner is none of the work's business: the next runner adopts it.
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => process.exit(0));

  const { journal, replayed } = Journal.open(path.join(vmDir, 'journal.ndjson'));
  if (replayed.badLines > 0) log.error('journal_damaged', { badLines: replayed.badLines });
  journal.compact(replayed.state);
  const { vmId } = identity;
  log.info('runner_started', { vmId, pid: process.pid, lastTaken: replayed.state.lastTaken });

  const session = new Session(identity, randomUUID(), RUNNER_VERSION, {
    identity: () => withSigner(readIdentity(vmDir), identity),
    report: () => host.report(),
    onAnswer: (answer) => {
      lease?.renew(answer.leaseMs);
      if (settings.aliveFile !== undefined) touch(settings.aliveFile);
      host.take(answer);
    },
    onUnwanted: () => host.dispatch({ kind: 'unwanted' }),
    onSuperseded: () => {
      // The other runner has adopted the work, so this one leaves it alone.
      log.warn('superseded', { vmId });
      process.exit(0);
    },
  });
  const host = new Host(
    {
      settings,
      vmId,
      url: () => (readIdentity(vmDir) ?? identity).url,
      journal,
      state: replayed.state,
      exit: () => process.exit(0),
      // The machine is not this program's: whoever runs it on one of its own ends the machine with it, as its boot does.
      powerOff: () => process.exit(0),
    },
    session,
  );
  const { selfDestructSeconds } = identity;
  const lease =
    selfDestructSeconds === undefined
      ? undefined
      : new Lease({
          selfDestructMs: selfDestructSeconds * 1000,
          nowMs: monotonicMs,
          onLost: () => {
            log.error('lease_lost', { vmId, selfDestructSeconds });
            host.dispatch({ kind: 'lease-lost' });
          },
        });
  host.resume();
  session.start();
  // By default that is done when a process ends in good order, and this one may well be killed.
  module.flushCompileCache?.();
  // A flood of logs that passes through is garbage at once: room for more of it before it is collected gains nothing. Not
  // before the cache is written, which holds only for the flags under which it was.
  v8.setFlagsFromString('--semi-space-growth-factor=1');
}

/** An EC2 instance's is signed for. What that needs is loaded only there: elsewhere it would cost memory for nothing. */
async function ownIdentity({ vmDir, metadataEndpoint }: Settings): Promise<Identity | undefined> {
  const identity = readIdentity(vmDir);
  if (identity?.region === undefined) return identity;
  const { instanceSigner } = await import('./ec2.ts');
  return { ...identity, sign: instanceSigner(identity.region, metadataEndpoint) };
}

const withSigner = (fresh: Identity | undefined, { sign }: Identity): Identity | undefined =>
  fresh && { ...fresh, ...(sign !== undefined && { sign }) };

/** What cannot be touched now is touched with the next answer; the timer's patience is longer than that. */
function touch(file: string): void {
  try {
    fs.writeFileSync(file, '');
  } catch (error) {
    log.warn('alive_file_not_touched', { file, reason: String(error) });
  }
}

await main(readSettings());
