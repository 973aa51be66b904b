/**
 * `npm run bench -- detection [--rounds N]`: how soon a run whose VM is gone has a verdict, on a real `candor dev` with its own
 * settings. Each round starts a run on a VM of its own, waits until it is at work, and ends processes with SIGKILL: all of
 * the VM's, or the work with its shim and not the runner. The goal is two idle heartbeats and one tick of the watchdog.
 */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { localConfig } from '../cli/dev/settings.ts';
import type { RunBody } from '../core/contract/runs.ts';
import { DevServer } from './devServer.ts';
import { percentile } from './stats.ts';

const POLL_MS = 20;
const GIVE_UP_MS = 120_000;
/** Phases of heartbeat and tick are met at random: so each round waits for another while at work. */
const SETTLE_MS = 2500;

type Victims = 'the whole VM' | 'the work and its shim';

export async function benchDetection(args: readonly string[]): Promise<void> {
  const { values } = parseArgs({ args: [...args], options: { rounds: { type: 'string', default: '15' } } });
  const { heartbeatIdleSeconds, watchdogIntervalSeconds } = localConfig(undefined);
  const goalMs = (2 * heartbeatIdleSeconds + watchdogIntervalSeconds) * 1000;
  process.stdout.write(
    `goal: 2 heartbeats of ${heartbeatIdleSeconds} s + 1 tick of ${watchdogIntervalSeconds} s = ${goalMs} ms\n`,
  );
  const folder = mkdtempSync(path.join(tmpdir(), 'candor-bench-'));
  const server = new DevServer(folder);
  try {
    await server.start();
    for (const victims of ['the whole VM', 'the work and its shim'] as const)
      await measure(server, folder, victims, Number(values.rounds), goalMs);
  } finally {
    await server.stop();
    rmSync(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 });
  }
}

async function measure(server: DevServer, folder: string, victims: Victims, rounds: number, goalMs: number) {
  const agent = { name: victims, command: ['sleep', '3600'] };
  const { id: agentId } = await server.post<{ readonly id: string }>('/v1/agents', agent);
  const times: number[] = [];
  const verdicts = new Map<string, number>();
  for (let round = 0; round < rounds; round++) {
    const { id } = await server.run(agentId);
    const atWork = await reaches(server, id, ({ status }) => status === 'running');
    await sleep(SETTLE_MS + (round / rounds) * SETTLE_MS);
    const killedAt = performance.now();
    end(folder, atWork.vmId ?? '', victims);
    const run = await reaches(server, id, ({ endedAt }) => endedAt !== undefined);
    times.push(performance.now() - killedAt);
    const verdict = `${run.status}${run.reason === undefined ? '' : `: ${run.reason}`}`;
    verdicts.set(verdict, (verdicts.get(verdict) ?? 0) + 1);
  }
  const most = Math.max(...times);
  const said = [...verdicts].map(([verdict, count]) => `${count} x ${verdict}`).join(', ');
  process.stdout.write(
    `${victims}, ${rounds} rounds: p50 ${percentile(times, 0.5).toFixed(0)} ms, most ${most.toFixed(0)} ms (${most <= goalMs ? 'within' : 'ABOVE'} the goal); ${said}\n`,
  );
  if (most > goalMs) process.exitCode = 1;
}

async function reaches(server: DevServer, id: string, there: (run: RunBody) => boolean): Promise<RunBody> {
  const giveUpAt = performance.now() + GIVE_UP_MS;
  for (;;) {
    const run = await server.get<RunBody>(`/v1/runs/${id}`);
    if (there(run)) return run;
    if (run.endedAt !== undefined || performance.now() > giveUpAt)
      throw new Error(`waited in vain: ${JSON.stringify(run)}`);
    await sleep(POLL_MS);
  }
}

/** All at once, as a power cut would: by the marks that a VM's processes carry in their environment (Linux). */
function end(folder: string, vmId: string, victims: Victims): void {
  const found = readdirSync('/proc')
    .map(Number)
    .filter((pid) => {
      if (!Number.isInteger(pid)) return false;
      try {
        const environment = readFileSync(`/proc/${pid}/environ`, 'utf8').split('\0');
        const isOfVm =
          environment.includes(`CANDOR_VM_ID=${vmId}`) && environment.some((each) => each.includes(`=${folder}/`));
        const isRunner = readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('/runner/main.ts');
        return isOfVm && (victims === 'the whole VM' || !isRunner);
      } catch {
        return false;
      }
    });
  if (found.length === 0) throw new Error(`${vmId} has no processes`);
  for (const pid of found) process.kill(pid, 'SIGKILL');
}
