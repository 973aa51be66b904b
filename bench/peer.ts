/**
 * The peer of `bench -- due --peer`: BullMQ on Redis, the same number of jobs delayed to one instant, worked off by one
 * worker in this process. It keeps no ledger. Needs Debian's redis-server; BullMQ is installed into an ignored folder.
 */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { percentile } from './stats.ts';

const TOOLS = fileURLToPath(new URL('../.tools/peer', import.meta.url));
const BULLMQ = 'bullmq@6.7.0';
const REDIS_CLIENT = 'ioredis@5';
const PORT = 17_379;
const AHEAD_MS = 4000;

interface BullMq {
  readonly Queue: new (
    name: string,
    options: object,
  ) => {
    addBulk(jobs: readonly object[]): Promise<unknown>;
    close(): Promise<void>;
  };
  readonly Worker: new (
    name: string,
    work: () => Promise<void>,
    options: object,
  ) => { close(): Promise<void>; waitUntilReady(): Promise<unknown> };
}

export async function benchPeer(count: number): Promise<void> {
  if (!hasRedis()) {
    process.stdout.write('  peer: not measured, redis-server is not installed (apt-get install redis-server)\n');
    return;
  }
  const { Queue, Worker } = loadBullMq();
  const redis = spawn(
    'redis-server',
    ['--port', String(PORT), '--bind', '127.0.0.1', '--save', '', '--appendonly', 'yes', '--dir', TOOLS],
    { stdio: 'ignore' },
  );
  try {
    const options = { connection: { host: '127.0.0.1', port: PORT, maxRetriesPerRequest: null } };
    const queue = new Queue('due', options);
    const due = Date.now() + AHEAD_MS + count;
    for (let start = 0; start < count; start += 1000) {
      const jobs = Array.from({ length: Math.min(1000, count - start) }, (_, index) => ({
        name: 'fire',
        data: { n: start + index },
        opts: { delay: due - Date.now() },
      }));
      await queue.addBulk(jobs);
    }
    const lateness: number[] = [];
    const done = Promise.withResolvers<void>();
    const cpu = process.cpuUsage();
    const worker = new Worker(
      'due',
      async () => {
        lateness.push(Date.now() - due);
        if (lateness.length >= count) done.resolve();
      },
      { ...options, concurrency: 50 },
    );
    await worker.waitUntilReady();
    await done.promise;
    const used = process.cpuUsage(cpu);
    await worker.close();
    await queue.close();
    process.stdout.write(
      `  peer (${BULLMQ}, Redis, no ledger): lateness p50 ${(percentile(lateness, 0.5) / 1000).toFixed(2)} s, p99 ${(percentile(lateness, 0.99) / 1000).toFixed(2)} s, CPU of this process ${((used.user + used.system) / 1e6).toFixed(1)} s\n`,
    );
  } finally {
    redis.kill('SIGKILL');
    await once(redis, 'exit');
  }
}

function hasRedis(): boolean {
  try {
    execFileSync('redis-server', ['--version'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

function loadBullMq(): BullMq {
  if (!existsSync(path.join(TOOLS, 'node_modules', 'ioredis')))
    execFileSync('npm', ['install', '--prefix', TOOLS, '--no-save', BULLMQ, REDIS_CLIENT], { stdio: 'ignore' });
  return createRequire(path.join(TOOLS, 'package.json'))('bullmq') as BullMq;
}
