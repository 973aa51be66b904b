/**
 * `npm run bench -- runs [--count N] [--vms N] [--slots N] [--paced N]`: runs that do nothing, end to end on warm VMs of a
 * real `candor dev`, over its HTTP API. First one after the other, for the time from a run's commit to the start of its
 * process; then all at once through the same VMs, for the rate and the CPU time. The floor is the same program spawned
 * directly, as many at a time, in the same run.
 */
import { spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import type { ListBody } from '../core/contract/common.ts';
import type { RunBody, VmBody } from '../core/contract/runs.ts';
import { DevServer } from './devServer.ts';
import { percentile } from './stats.ts';

const COMMAND = 'true';
const POSTS_AT_ONCE = 8;
/** As `getconf CLK_TCK` says on every Linux that we know. */
const TICKS_PER_SECOND = 100;
const POLL_MS = 25;

interface Options {
  readonly count: number;
  readonly paced: number;
  readonly vms: number;
  readonly slots: number;
}

export async function benchRuns(args: readonly string[]): Promise<void> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      count: { type: 'string', default: '500' },
      paced: { type: 'string', default: '50' },
      vms: { type: 'string', default: '2' },
      slots: { type: 'string', default: '8' },
    },
  });
  const options: Options = {
    count: Number(values.count),
    paced: Number(values.paced),
    vms: Number(values.vms),
    slots: Number(values.slots),
  };
  const folder = mkdtempSync(path.join(tmpdir(), 'candor-bench-'));
  const server = new DevServer(folder);
  try {
    await server.start();
    await measure(server, folder, options);
  } finally {
    await server.stop();
    rmSync(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 });
  }
}

async function measure(server: DevServer, folder: string, options: Options): Promise<void> {
  const agentId = await agentOf(server, options);
  await warmUp(server, agentId, options);
  const paced = await onePerTime(server, agentId, options.paced);
  const before = cpuOf(server, folder);
  const burst = await allAtOnce(server, agentId, options.count);
  const used = cpuOf(server, folder);
  const floor = await spawnDirectly(options.count, options.vms * options.slots);
  const spent = {
    control: used.control - before.control,
    engine: used.engine - before.engine,
    runners: used.runners - before.runners,
  };
  report(options, { paced, burst, floor, spent });
}

async function agentOf(server: DevServer, { vms, slots }: Options): Promise<string> {
  const limits = { maxConcurrentVms: vms, maxConcurrentRuns: vms * slots };
  const agent = { name: 'nothing', command: [COMMAND], warmFor: 'PT1H', slots, limits };
  return (await server.post<{ readonly id: string }>('/v1/agents', agent)).id;
}

/** As many runs as there are slots, so that every VM stands there and has done one. */
async function warmUp(server: DevServer, agentId: string, { vms, slots }: Options): Promise<void> {
  await allAtOnce(server, agentId, vms * slots);
  const found = await server.get<ListBody<VmBody>>('/v1/vms?limit=100');
  const warm = found.items.filter(({ status, runs }) => status === 'ready' && runs.length === 0).length;
  process.stdout.write(`${warm} warm VM(s) with ${slots} slots each\n`);
}

async function onePerTime(server: DevServer, agentId: string, count: number): Promise<readonly RunBody[]> {
  const ended: RunBody[] = [];
  for (let each = 0; each < count; each++) {
    const { id } = await server.run(agentId);
    for (;;) {
      const run = await server.get<RunBody>(`/v1/runs/${id}`);
      if (run.endedAt !== undefined) {
        ended.push(run);
        break;
      }
      await sleep(POLL_MS);
    }
  }
  return ended;
}

interface Burst {
  readonly seconds: number;
  readonly postingSeconds: number;
  readonly runs: readonly RunBody[];
}

async function allAtOnce(server: DevServer, agentId: string, count: number): Promise<Burst> {
  const ids: string[] = [];
  let posted = 0;
  const startedAt = performance.now();
  const post = async () => {
    while (posted < count) {
      posted++;
      ids.push((await server.run(agentId)).id);
    }
  };
  await Promise.all(Array.from({ length: POSTS_AT_ONCE }, post));
  const postingSeconds = (performance.now() - startedAt) / 1000;
  const runs: RunBody[] = [];
  // In the order in which they were asked for: the last ones end last, so hardly a read is in vain.
  for (const id of ids)
    for (;;) {
      const run = await server.get<RunBody>(`/v1/runs/${id}`);
      if (run.endedAt !== undefined) {
        runs.push(run);
        break;
      }
      await sleep(POLL_MS * 4);
    }
  const firstAt = Math.min(...runs.map(({ createdAt }) => Date.parse(createdAt)));
  const lastAt = Math.max(...runs.map(({ endedAt }) => Date.parse(endedAt ?? '')));
  return { seconds: (lastAt - firstAt) / 1000, postingSeconds, runs };
}

interface Floor {
  readonly seconds: number;
  readonly cpuSeconds: number;
  readonly startMs: readonly number[];
}

/** From the call to the moment at which the process is there, and all of them until they have ended. */
async function spawnDirectly(count: number, atOnce: number): Promise<Floor> {
  const startMs: number[] = [];
  let left = count;
  const cpuBefore = cpuSeconds(process.pid, true);
  const startedAt = performance.now();
  const work = async () => {
    while (left > 0) {
      left--;
      const begin = performance.now();
      await new Promise<void>((resolve, reject) => {
        const child = spawn(COMMAND, { stdio: ['pipe', 'pipe', 'pipe'] });
        child.once('spawn', () => startMs.push(performance.now() - begin));
        child.once('error', reject);
        child.once('close', () => resolve());
      });
    }
  };
  await Promise.all(Array.from({ length: atOnce }, work));
  const seconds = (performance.now() - startedAt) / 1000;
  return { seconds, cpuSeconds: cpuSeconds(process.pid, true) - cpuBefore, startMs };
}

interface Measured {
  readonly paced: readonly RunBody[];
  readonly burst: Burst;
  readonly floor: Floor;
  readonly spent: Cpu;
}

function report({ count, vms, slots }: Options, { paced, burst, floor, spent }: Measured): void {
  const perThousand = (seconds: number) => ((seconds * 1000) / count).toFixed(1);
  const bad = [...paced, ...burst.runs].filter(({ status }) => status !== 'succeeded');
  const alone = paced.map(untilStart);
  const waited = burst.runs.map(untilStart);
  const rate = count / burst.seconds;
  const floorRate = count / floor.seconds;
  const ms = (samples: readonly number[], share: number) => percentile(samples, share).toFixed(0);
  const lines = [
    `one after the other (${paced.length}): commit to process start p50 ${ms(alone, 0.5)} ms, p99 ${ms(alone, 0.99)} ms`,
    `${count} at once through ${vms} VMs × ${slots} slots: ${rate.toFixed(1)} runs/s (posted in ${burst.postingSeconds.toFixed(1)} s); with the wait for a slot p50 ${ms(waited, 0.5)} ms, p99 ${ms(waited, 0.99)} ms`,
    `CPU seconds per 1,000 runs: ${perThousand(spent.control + spent.engine + spent.runners)} (control ${perThousand(spent.control)}, engine ${perThousand(spent.engine)}, runners and their children ${perThousand(spent.runners)})`,
    `floor, ${COMMAND} spawned directly, ${vms * slots} at a time: ${floorRate.toFixed(1)}/s, start p50 ${percentile(floor.startMs, 0.5).toFixed(1)} ms, p99 ${percentile(floor.startMs, 0.99).toFixed(1)} ms, CPU seconds per 1,000: ${perThousand(floor.cpuSeconds)}`,
    `ratio to the floor: ${(floorRate / rate).toFixed(1)} times the time, ${((spent.control + spent.engine + spent.runners) / floor.cpuSeconds).toFixed(1)} times the CPU`,
  ];
  process.stdout.write(`${lines.join('\n')}\n`);
  if (bad.length > 0) {
    process.stdout.write(`${bad.length} run(s) did not succeed, the first one: ${JSON.stringify(bad[0])}\n`);
    process.exitCode = 1;
  }
}

const untilStart = ({ createdAt, startedAt }: RunBody): number => Date.parse(startedAt ?? '') - Date.parse(createdAt);

interface Cpu {
  readonly control: number;
  readonly engine: number;
  readonly runners: number;
}

/** What each part has used so far; the shims and the work are the runners' children, counted when they have ended. */
function cpuOf(server: DevServer, folder: string): Cpu {
  return {
    control: cpuSeconds(server.pid, false),
    engine: cpuSeconds(server.enginePid, false),
    runners: runnersOf(folder).reduce((sum, pid) => sum + cpuSeconds(pid, true), 0),
  };
}

/** User and system time of a process, with that of its ended children if wanted (Linux, proc(5)). */
function cpuSeconds(pid: number, withChildren: boolean): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  const fields = stat
    .slice(stat.lastIndexOf(')') + 2)
    .split(' ')
    .map(Number);
  const [user = 0, system = 0, childrenUser = 0, childrenSystem = 0] = fields.slice(11, 15);
  return (user + system + (withChildren ? childrenUser + childrenSystem : 0)) / TICKS_PER_SECOND;
}

function runnersOf(folder: string): readonly number[] {
  return readdirSync('/proc')
    .map(Number)
    .filter((pid) => {
      if (!Number.isInteger(pid)) return false;
      try {
        const command = readFileSync(`/proc/${pid}/cmdline`, 'utf8');
        return (
          command.includes('/runner/main.ts') && readFileSync(`/proc/${pid}/environ`, 'utf8').includes(`=${folder}/`)
        );
      } catch {
        return false;
      }
    });
}
