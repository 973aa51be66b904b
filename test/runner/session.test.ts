import fs from 'node:fs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { sh, Vm, waitFor } from './harness.ts';

let vm: Vm;
beforeEach(async () => {
  vm = await Vm.create();
});
afterEach(async () => {
  const { problems } = vm.server;
  await vm.dispose();
  expect(problems).toEqual([]);
});

describe('the session with the server', () => {
  it('registers again and again until the server is ready', async () => {
    let refused = 0;
    vm.server.verdict = () => {
      refused += 1;
      return refused <= 3 ? { status: 503 } : undefined;
    };
    vm.startRunner();
    await waitFor('a heartbeat', () => vm.server.heartbeats.length > 0);
    expect(vm.server.registrations).toHaveLength(1);
  });

  it('survives a server that goes away and comes back at another port', async () => {
    vm.run('run_a', sh('sleep 300'));
    vm.startRunner();
    await vm.reached('run_a', 'running');
    await vm.server.close();
    await vm.server.listen();
    const identity = JSON.parse(fs.readFileSync(`${vm.dir}/runner.json`, 'utf8'));
    const url = `http://127.0.0.1:${vm.server.port}`;
    fs.writeFileSync(`${vm.dir}/runner.json`, JSON.stringify({ ...identity, url }));
    const before = vm.server.heartbeats.length;
    await waitFor('heartbeats at the new port', () => vm.server.heartbeats.length > before + 2);
    expect(vm.server.entry('run_a')?.state).toBe('running');
    expect(vm.server.registrations).toHaveLength(1);
  });

  it('registers anew with the same nonce when its token is refused', async () => {
    vm.startRunner();
    await waitFor('a heartbeat', () => vm.server.heartbeats.length > 0);
    let refusals = 1;
    vm.server.verdict = (path) => {
      if (!path.endsWith('heartbeat') || refusals === 0) return undefined;
      refusals -= 1;
      return { status: 401, code: 'unauthenticated' };
    };
    await waitFor('another registration', () => vm.server.registrations.length === 2);
    const before = vm.server.heartbeats.length;
    await waitFor('another heartbeat', () => vm.server.heartbeats.length > before);
    expect(vm.server.nonces).toHaveLength(1);
  });

  it('uses a fresh token once it has got one', async () => {
    vm.server.freshToken = 'another-token';
    vm.startRunner();
    await waitFor('the fresh token', () => vm.server.freshTokenUsed);
    await waitFor('heartbeats', () => vm.server.heartbeats.length > 3);
    expect(vm.server.heartbeats.map(({ seq }) => seq)).toEqual(vm.server.heartbeats.map((_, index) => index + 1));
    expect(vm.stderr).not.toContain('another-token');
  });

  it('ends at once, and touches nothing, when another runner of the VM has registered', async () => {
    vm.run('run_a', sh('sleep 300'));
    const runner = vm.startRunner();
    const { pid } = await vm.reached('run_a', 'running');
    const next = vm.startRunner();
    expect(await vm.exitOf(runner)).toBe(0);
    expect(next.exitCode).toBeNull();
    const entry = await waitFor('the next runner to report it', () =>
      vm.server.heartbeats.at(-1)?.generation === 2 ? vm.server.entry('run_a') : undefined,
    );
    expect(entry).toMatchObject({ state: 'running', pid });
  });

  it('leaves the work alone on SIGTERM', async () => {
    vm.run('run_a', sh('sleep 300'));
    const runner = vm.startRunner();
    const { pid } = await vm.reached('run_a', 'running');
    runner.kill('SIGTERM');
    expect(await vm.exitOf(runner)).toBe(0);
    expect(vm.processesOf('run_a')).toContain(pid);
    expect(fs.existsSync(`${vm.dir}/stopped`)).toBe(false);
  });

  it('ends all work and stops once nobody knows the VM any more', async () => {
    vm.run('run_a', sh('trap "" INT; sleep 300'));
    const runner = vm.startRunner();
    await vm.reached('run_a', 'running');
    vm.server.verdict = () => ({ status: 404, code: 'not_found' });
    await waitFor('the first refusals', () => vm.stderr.includes('not_registered'));
    expect(vm.processesOf('run_a').length).toBeGreaterThan(0);
    // It gives the server ten seconds to change its mind.
    await new Promise((resolve) => setTimeout(resolve, 10_000));
    expect(await vm.exitOf(runner)).toBe(0);
    expect(vm.processes()).toEqual([]);
    expect(fs.existsSync(`${vm.dir}/stopped`)).toBe(true);
  });
});
