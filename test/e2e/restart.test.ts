/** `kill -9` of `candor dev` at any moment loses nothing (design.md §9). */
import { describe, expect, it } from 'vitest';
import { isTerminal } from '../../core/contract/runs.ts';
import { enginesOf, expectOneEnd, isAlive, kill, linesOf, Machine, open, sleep, until, witnessed } from './support.ts';

interface System {
  readonly parts: readonly {
    readonly name: string;
    readonly lastProofAt?: string;
    readonly detail: Readonly<Record<string, number>>;
  }[];
}

describe('candor dev, killed while work runs', { timeout: 120_000 }, () => {
  it('reports the true exit code of work that ended while nobody was there, and starts nothing twice', async () => {
    const machine = new Machine();
    await machine.start();
    const before = machine.endpoint;
    const orders = machine.orders({ gated: true, lines: 500, exitCode: 7 });
    const run = await machine.run(await machine.worker(), orders);
    await machine.running(run, orders);
    await machine.killDev();

    open(orders);
    await until('the end of the work', () => witnessed(orders).includes('end 7'));
    const leftover = enginesOf(machine.dataDir);
    await machine.start();

    expect({ ...machine.endpoint, pid: 0 }).toEqual({ ...before, pid: 0 });
    const ended = await machine.ended(run);
    expect(ended).toMatchObject({
      status: 'failed',
      reason: 'exit_code',
      exitCode: 7,
      terminatedBy: 'self',
      attempt: 1,
    });
    expect(ended.evidence.source).toContain('runner');
    expect(witnessed(orders)).toEqual(['start', 'end 7']);
    expect(await machine.stdout(run)).toBe(linesOf(orders));
    await machine.vmGone(ended);
    await expectOneEnd(machine, run);
    expect(leftover.filter(isAlive)).toEqual([]);
    expect(enginesOf(machine.dataDir)).toHaveLength(1);
  });

  it('goes on with work that is still alive', async () => {
    const machine = new Machine();
    await machine.start();
    const orders = machine.orders({ gated: true, lines: 100, output: { answer: 42 } });
    const run = await machine.run(await machine.worker(), orders);
    await machine.running(run, orders);
    for (let times = 0; times < 3; times++) {
      await machine.killDev();
      await machine.start();
    }
    expect((await machine.getRun(run)).status).toBe('running');
    open(orders);
    expect(await machine.ended(run)).toMatchObject({ status: 'succeeded', exitCode: 0, output: { answer: 42 } });
    expect(witnessed(orders)).toEqual(['start', 'end 0']);
    expect(await machine.stdout(run)).toBe(linesOf(orders));
    await machine.vmGone(await expectOneEnd(machine, run));
  });

  it.each([0, 40, 80, 120, 160, 200, 260, 340])(
    'ends a run once that was killed %i ms after it was accepted',
    async (delayMs) => {
      const machine = new Machine();
      await machine.start();
      const orders = machine.orders({ lines: 10 });
      const agent = await machine.worker();
      const run = await machine.run(agent, orders);
      await sleep(delayMs);
      await machine.killDev();
      await machine.start();
      expect(await machine.ended(run)).toMatchObject({ status: 'succeeded', exitCode: 0 });
      expect(witnessed(orders)).toEqual(['start', 'end 0']);
      expect(await machine.stdout(run)).toBe(linesOf(orders));
      await machine.vmGone(await expectOneEnd(machine, run));
    },
  );

  it('accepts a run, or does not, when it is killed while it answers', async () => {
    const machine = new Machine();
    await machine.start();
    const agent = await machine.worker();
    const all = Array.from({ length: 6 }, () => machine.orders({ lines: 5 }));
    const accepted: string[] = [];
    const sent = all.map((orders) =>
      machine
        .run(agent, orders)
        .then((run) => accepted.push(run.id))
        .catch(() => undefined),
    );
    await Promise.race(sent);
    await machine.killDev();
    await Promise.all(sent);
    await machine.start();
    const { items } = await machine.get<{ items: { id: string }[] }>('/v1/runs?limit=100');
    expect(items.map(({ id }) => id)).toEqual(expect.arrayContaining(accepted));
    for (const run of items) await machine.ended(run);
    const started = all.filter((orders) => witnessed(orders).length > 0);
    expect(started).toHaveLength(items.length);
    for (const orders of started) expect(witnessed(orders)).toEqual(['start', 'end 0']);
    for (const run of items) expect(await expectOneEnd(machine, run)).toMatchObject({ status: 'succeeded' });
  });

  it('is found again by its runners when it comes back on another port', async () => {
    const machine = new Machine();
    await machine.start();
    const { url } = machine.endpoint;
    const orders = machine.orders({ gated: true, lines: 20, exitCode: 9 });
    const run = await machine.run(await machine.worker(), orders);
    await machine.running(run, orders);
    await machine.killDev();
    await machine.start({ args: ['--port', '0'] });
    expect(machine.endpoint.url).not.toBe(url);
    open(orders);
    expect(await machine.ended(run)).toMatchObject({ status: 'failed', exitCode: 9 });
    expect(witnessed(orders)).toEqual(['start', 'end 9']);
    expect(await machine.stdout(run)).toBe(linesOf(orders));
    await machine.vmGone(await expectOneEnd(machine, run));
  });

  it('survives being killed again and again while it starts', async () => {
    const machine = new Machine();
    await machine.start();
    const orders = machine.orders({ gated: true, lines: 20 });
    const late = machine.orders({ lines: 20 });
    const agent = await machine.worker();
    const run = await machine.run(agent, orders);
    await machine.running(run, orders);
    const second = await machine.run(agent, late);
    await machine.killDev();
    for (const delayMs of [150, 250, 350, 450, 550, 700]) {
      machine.launch();
      await sleep(delayMs);
      await machine.killDev();
    }
    await machine.start();
    expect((await machine.getRun(run)).status).toBe('running');
    expect(await machine.ended(second)).toMatchObject({ status: 'succeeded' });
    open(orders);
    expect(await machine.ended(run)).toMatchObject({ status: 'succeeded' });
    for (const each of [orders, late]) expect(witnessed(each)).toEqual(['start', 'end 0']);
    for (const each of [run, second]) await machine.vmGone(await expectOneEnd(machine, each));
    expect(enginesOf(machine.dataDir)).toHaveLength(1);
  });

  it.each([0, 100, 400, 900])(
    'gives a run one end when it is killed %i ms after it was told to stop',
    async (delayMs) => {
      const machine = new Machine();
      const dev = await machine.start();
      const orders = machine.orders({ gated: true, ignore: ['SIGINT'] });
      const run = await machine.run(await machine.worker(), orders);
      await machine.running(run, orders);
      kill(dev.pid, 'SIGTERM');
      await sleep(delayMs);
      await machine.killDev();
      await machine.start();
      open(orders);
      const ended = await machine.ended(run);
      const witness = witnessed(orders);
      // Whether the order to stop got through before the kill is not ours to say; that it says what was, is.
      if (witness.includes('end 0') && !witness.includes('SIGINT'))
        expect(ended).toMatchObject({ status: 'succeeded', exitCode: 0 });
      else expect(ended).toMatchObject({ status: 'cancelled', reason: 'candor_stopped' });
      expect(witness.filter((line) => line === 'start')).toHaveLength(1);
      await machine.vmGone(await expectOneEnd(machine, run));
    },
  );

  it.each(['killed', 'suspended'])(
    'does not end healthy work after it was %s for longer than the lease',
    async (how) => {
      const machine = new Machine();
      const config = { leaseSeconds: 4, unresponsiveSeconds: 8 };
      await machine.start({ config });
      const orders = machine.orders({ gated: true });
      const run = await machine.run(await machine.worker(), orders);
      await machine.running(run, orders);
      if (how === 'killed') await machine.killDev();
      else kill(machine.dev.pid, 'SIGSTOP');
      await sleep(7000);
      if (how === 'killed') await machine.start({ config });
      else kill(machine.dev.pid, 'SIGCONT');
      const since = Date.now();
      await until('the watchdog to have held back, and judged again', async () => {
        const { parts } = await machine.get<System>('/v1/system');
        const watchdog = parts.find(({ name }) => name === 'watchdog');

        const at = Date.parse(watchdog?.lastProofAt ?? '');
        return at > since + 5000 && at > (watchdog?.detail.holdUntil ?? 0) + 1000;
      });
      const still = await machine.getRun(run);
      expect(isTerminal(still.status), JSON.stringify(still)).toBe(false);
      expect(still.status).toBe('running');
      open(orders);
      expect(await machine.ended(run)).toMatchObject({ status: 'succeeded', exitCode: 0, attempt: 1 });
      expect(witnessed(orders)).toEqual(['start', 'end 0']);
      await machine.vmGone(await expectOneEnd(machine, run));
    },
  );
});
