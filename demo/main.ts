/**
 * `npm run demo`: Candor on this machine, from nothing to a scheduled run with proof, and back to nothing.
 * Exits 0 only if everything that it shows has been checked and nothing is left behind.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { argumentsOf, environmentValue, otherPids } from '../adapters/local/procfs.ts';
import { CandorClient } from '../cli/client.ts';
import { Checks } from './checks.ts';
import { cancelledRun, scheduledDigest } from './steps.ts';

const CANDOR = fileURLToPath(new URL('../cli/candor.mjs', import.meta.url));
const READY_LIMIT_MS = 30_000;
const say = (line = '') => process.stdout.write(`${line}\n`);

const folder = await mkdtemp(path.join(tmpdir(), 'candor-demo-'));
const dataDir = path.join(folder, 'data');
const checks = new Checks();
const interrupted = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => interrupted.abort());

say(`Candor demo. Everything happens in ${folder} and is gone afterwards.`);
const server = spawn(process.execPath, [CANDOR, 'dev', '--data-dir', dataDir, '--port', '0'], {
  stdio: ['ignore', 'ignore', 'inherit'],
  // Not in our process group: Ctrl-C reaches this demo, which then stops the server in order.
  detached: true,
  env: { ...process.env, CANDOR_CONFIG: JSON.stringify({ cancelInterruptSeconds: 1, cancelTerminateSeconds: 2 }) },
});
const exited = once(server, 'exit');
const vmIds = new Set<string>();
try {
  await ready();
  const client = new CandorClient({ endpoint, userAgent: 'candor-demo', signal: interrupted.signal });
  await scheduledDigest({ client, checks });
  noteVms();
  await cancelledRun({ client, checks });
  noteVms();
} catch (error) {
  checks.that(false, 'the demo went through', error instanceof Error ? error.message : String(error));
} finally {
  await cleanUp();
}
say(checks.failed === 0 ? '\nAll of it was seen. ' : `\n${checks.failed} of the claims did not hold.`);
process.exitCode = checks.failed === 0 ? 0 : 1;

async function endpoint() {
  const { url, token } = JSON.parse(await readFile(path.join(dataDir, 'endpoint.json'), 'utf8')) as {
    url: string;
    token: string;
  };
  return { url, token, remedy: 'Run the demo again.' };
}

async function ready(): Promise<void> {
  const limit = Date.now() + READY_LIMIT_MS;
  while (!existsSync(path.join(dataDir, 'endpoint.json'))) {
    if (server.exitCode !== null || Date.now() > limit || interrupted.signal.aborted)
      throw new Error('candor dev did not come up');
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** The VMs of this demo, so that what they might leave behind can be looked for by their marks. */
function noteVms(): void {
  for (const state of ['vms', 'vms-ended']) {
    const parent = path.join(dataDir, state);
    if (existsSync(parent)) for (const name of readdirSync(parent)) vmIds.add(name.replace(/\..*$/, ''));
  }
}

async function cleanUp(): Promise<void> {
  say('\n5. Stopping');
  noteVms();
  if (server.exitCode === null) server.kill('SIGTERM');
  const [code] = await exited;
  checks.that(code === 0, 'candor dev stopped in order', code);
  const left = otherPids().filter((pid) => belongsToUs(pid));
  checks.that(left.length === 0, 'no process is left', left);
  await rm(folder, { recursive: true, force: true });
  checks.that(!existsSync(folder), 'no file is left');
}

function belongsToUs(pid: number): boolean {
  const vmId = environmentValue(pid, 'CANDOR_VM_ID');
  return (vmId !== undefined && vmIds.has(vmId)) || argumentsOf(pid).some((argument) => argument.startsWith(folder));
}
