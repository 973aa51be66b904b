/** What a machine can do to the runner: a full disk, a clock that steps, no CPU time left, a server that is gone. */
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import { pathToFileURL } from 'node:url';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Host, type HostOptions } from '../../runner/host.ts';
import type { Journal } from '../../runner/journal.ts';
import { Lease } from '../../runner/lease.ts';
import type { Session } from '../../runner/session.ts';
import { EMPTY } from '../../runner/state.ts';
import { sh, sleep, Vm, waitFor } from './harness.ts';

let vm: Vm;
beforeEach(async () => {
  vm = await Vm.create();
});
afterEach(async () => {
  const { problems } = vm.server;
  await vm.dispose();
  expect(problems).toEqual([]);
});

/** Waits for more heartbeats than the ones that may be under way. */
async function heartbeatsGoOn(): Promise<void> {
  const before = vm.server.heartbeats.length;
  await waitFor('more heartbeats', () => vm.server.heartbeats.length > before + 3);
}

const MOUNT = ['mount', '-t', 'tmpfs', '-o', 'size=3m', 'tmpfs'];
const canMount = spawnSync('unshare', ['-rm', ...MOUNT, os.tmpdir()]).status === 0;

// Where no file system of its own can be mounted, journal.test.ts still has what a failing write does to the journal.
describe.skipIf(!canMount)('a full disk', () => {
  /** Starts the runner with a small file system, which nobody else sees, for its VM's folder. */
  function startOnSmallDisk(): void {
    const script = `cp runner.json ../saved && ${MOUNT.join(' ')} "$PWD" && cp ../saved "$PWD/runner.json" && exec "$@"`;
    vm.startRunner({ through: ['unshare', '-rm', 'sh', '-c', `cd ${vm.dir} && ${script}`, 'sh'] });
  }
  const fill = '{ cat /dev/zero > fill; echo x >> fill; } 2> /dev/null';

  it('neither ends the work nor hides its end, and every byte is accounted for', async () => {
    startOnSmallDisk();
    vm.run('run_a', sh(`echo before; ${fill}; seq 1 100000 | head -c 500000; rm fill; echo after; exit 3`));
    const entry = await vm.reached('run_a', 'ended');
    expect(entry).toMatchObject({ exitCode: 3, terminatedBy: 'self' });
    const out = vm.server.text('run_a', 'stdout');
    expect(out).toMatch(/after\n$/);
    const lost = [vm.server.text('run_a', 'candor'), entry.detail ?? ''].flatMap((text) =>
      [...text.matchAll(/(\d+) bytes (?:dropped here: they|of output) could not be written to disk/g)].map(([, n]) =>
        Number(n),
      ),
    );
    expect(lost.length).toBeGreaterThan(0);
    expect(out.length + lost.reduce((sum, bytes) => sum + bytes, 0)).toBe('before\nafter\n'.length + 500_000);
    await heartbeatsGoOn();
  });

  it('leaves work that can be cancelled, starts that are refused, and room again once it has gone', async () => {
    startOnSmallDisk();
    vm.run('run_a', sh(`${fill}; echo full >&2; exec sleep 300`));
    await waitFor('the disk to be full', () => vm.server.entry('run_a')?.state === 'running');
    await sleep(500);
    vm.run('run_b', ['true'], { input: 'x'.repeat(100_000) });
    expect(await vm.reached('run_b', 'not_started')).toMatchObject({
      notStartedBecause: 'refused',
      detail: expect.stringContaining('ENOSPC'),
    });
    await heartbeatsGoOn();
    vm.cancel('run_a');
    expect(await vm.reached('run_a', 'ended')).toMatchObject({ terminatedBy: 'cancel', signalsSent: ['SIGINT'] });
    expect(vm.processesOf('run_a')).toEqual([]);
    vm.server.acknowledging = true;
    await waitFor('the outcome to leave', () => !vm.server.entry('run_a'));
    vm.server.acknowledging = false;
    vm.run('run_c', ['true'], { input: 'x'.repeat(100_000) });
    expect(await vm.reached('run_c', 'ended')).toMatchObject({ exitCode: 0 });
    expect(vm.runner?.exitCode).toBeNull();
  });
});

describe('a wall clock that steps', () => {
  const STEPPING = `import fs from 'node:fs';
    const Real = Date; let offset = 0;
    setInterval(() => { try { offset = Number(fs.readFileSync(new URL('./offset', import.meta.url), 'utf8')); } catch {} }, 5).unref();
    globalThis.Date = class extends Real {
      constructor(...args) { if (args.length > 0) super(...args); else super(Real.now() + offset); }
      static now() { return Real.now() + offset; }
    };`;

  it('reorders, loses and ends nothing', async () => {
    fs.writeFileSync(vm.file('stepping.mjs'), STEPPING);
    vm.identify({ selfDestructSeconds: 20 });
    vm.server.leaseMs = 1000;
    vm.startRunner({ nodeOptions: `--import=${pathToFileURL(vm.file('stepping.mjs'))}` });
    vm.run('run_a', sh('i=0; while [ $i -lt 100 ]; do echo $i; i=$((i+1)); sleep 0.02; done; exit 9'));
    const steps = [-3_600_000, 7_200_000, -86_400_000];
    for (const [index, step] of steps.entries()) {
      await waitFor('more lines', () => vm.server.text('run_a', 'stdout').split('\n').length > index * 20);
      fs.writeFileSync(vm.file('offset'), String(step));
      await heartbeatsGoOn();
    }
    const entry = await vm.reached('run_a', 'ended');
    expect(entry).toMatchObject({ exitCode: 9, terminatedBy: 'self' });
    expect(entry.startedAgoMs).toBeLessThan(60_000);
    expect(entry.startedAgoMs).toBeGreaterThan(entry.endedAgoMs!);
    expect(vm.server.text('run_a', 'stdout')).toBe(Array.from({ length: 100 }, (_, index) => `${index}\n`).join(''));
    const times = vm.server.logs('run_a').map(({ atMs }) => atMs);
    expect(times).toEqual([...times].sort((left, right) => left - right));
    expect(vm.stderr).toContain(new Date(Date.now() - 86_400_000).toISOString().slice(0, 10));
    expect(vm.runner?.exitCode).toBeNull();
  });
});

describe('work that burns all CPU time', () => {
  it('does not keep the runner from its heartbeats, nor from ending it', async () => {
    const arrivals: number[] = [];
    vm.startRunner();
    await waitFor('a heartbeat', () => vm.server.heartbeats.length > 0);
    const burners = 4 * os.availableParallelism();
    vm.run('run_a', sh(`for i in $(seq ${burners}); do (while :; do :; done) & done; echo up; wait`));
    await waitFor('the burners to be up', () => vm.server.text('run_a', 'stdout') === 'up\n');
    vm.server.verdict = (url) => {
      if (url.endsWith('heartbeat')) arrivals.push(performance.now());
      return undefined;
    };
    await waitFor('heartbeats under load', () => arrivals.length > 30);
    const gaps = arrivals.slice(1).map((at, index) => at - (arrivals[index] ?? at));
    expect(Math.max(...gaps)).toBeLessThan(vm.server.leaseMs);
    expect(vm.processesOf('run_a').length).toBeGreaterThanOrEqual(burners);
    vm.cancel('run_a');
    await vm.reached('run_a', 'ended');
    expect(vm.processesOf('run_a')).toEqual([]);
  });
});

describe('a server that is gone for good', () => {
  const away = () => {
    vm.server.verdict = () => ({ status: 503 });
  };

  it('makes the runner end its work and itself, but not as long as heartbeats are answered', async () => {
    vm.identify({ selfDestructSeconds: 2 });
    vm.server.leaseMs = 500;
    const runner = vm.startRunner();
    vm.run('run_a', sh('trap "" INT TERM; setsid sleep 300 & while :; do sleep 0.05; done'));
    await vm.reached('run_a', 'running');
    const until = performance.now() + 4000;
    await waitFor('more than the time to pass', () => performance.now() > until);
    expect(vm.server.entry('run_a')?.state).toBe('running');
    away();
    expect(await vm.exitOf(runner)).toBe(0);
    expect(vm.processes()).toEqual([]);
    expect(fs.existsSync(`${vm.dir}/stopped`)).toBe(true);
    expect(vm.stderr).toMatch(/"lease_lost".*\n(.*\n)*.*"run_outcome".*"state":"ended"/);
    expect(vm.stderr).toMatch(/"stopped".*"lease-lost"/);
  });

  it('is no reason to end anything where no time is set', async () => {
    vm.server.leaseMs = 500;
    vm.startRunner();
    vm.run('run_a', sh('sleep 300'));
    const { pid } = await vm.reached('run_a', 'running');
    away();
    await sleep(3000);
    expect(vm.processesOf('run_a')).toContain(pid);
    expect(vm.stderr).not.toContain('lease_lost');
    vm.server.verdict = () => undefined;
    await heartbeatsGoOn();
    expect(vm.server.entry('run_a')).toMatchObject({ state: 'running', pid });
  });

  it('has the machine powered off, and not only the program ended', async () => {
    const ended = await new Promise<string>((resolve) => {
      const options: HostOptions = {
        settings: { vmDir: vm.dir, baseEnvironment: {}, compileCache: undefined, metadataEndpoint: '' },
        vmId: vm.vmId,
        url: () => '',
        journal: { append: () => {}, compact: () => {} } as unknown as Journal,
        state: EMPTY,
        exit: () => resolve('exit'),
        powerOff: () => resolve('power-off'),
      };
      const session = { poke: () => {}, close: async () => {} } as unknown as Session;
      new Host(options, session).dispatch({ kind: 'lease-lost' });
    });
    expect(ended).toBe('power-off');
  });
});

describe('the lease', () => {
  beforeEach(() => {
    vi.useFakeTimers();
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  it('is lost once, when the time has passed on the monotonic clock since the last answer, and not before', () => {
    let nowMs = 1_000_000;
    let lost = 0;
    const lease = new Lease({
      selfDestructMs: 60_000,
      nowMs: () => nowMs,
      onLost: () => {
        lost += 1;
      },
    });
    const pass = (ms: number) => {
      nowMs += ms;
      vi.advanceTimersByTime(1000);
    };
    pass(59_000);
    expect(lost).toBe(0);
    lease.renew(10_000);
    pass(59_000);
    // What the server has promised is kept, though it is longer; and the wall clock is no measure.
    lease.renew(90_000);
    vi.setSystemTime(Date.now() + 86_400_000);
    pass(89_000);
    expect(lost).toBe(0);
    pass(1000);
    expect(lost).toBe(1);
    lease.renew(90_000);
    pass(500_000);
    expect(lost).toBe(1);
  });
});
