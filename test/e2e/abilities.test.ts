/** What an agent may ask for beside a process: secrets, setup, a repository, artifacts, runs of its own, a VM that is warm. */
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { FileSecrets } from '../../adapters/local/secrets.ts';
import type { ChildrenBody, RunBody, RunExplainBody, VmBody } from '../../core/contract/runs.ts';
import { expectOneEnd, Machine, until } from './support.ts';

describe('an agent', { timeout: 120_000 }, () => {
  let machine: Machine;
  beforeAll(async () => {
    machine = new Machine('file');
    await machine.start();
  });
  const node = (script: string) => [process.execPath, '-e', script];
  const ended = async (agent: { readonly id: string }, input: unknown = null) => {
    const run = await machine.ended(await machine.run(agent, input));
    await expectOneEnd(machine, run);
    return run;
  };

  it('gets secrets by reference: its process has the value, and no log shows it', async () => {
    await new FileSecrets({ dataDir: machine.dataDir }).write('deploy-key', 'open sesame 4711');
    const agent = await machine.agent(
      node(
        "console.log('the key is ' + process.env.KEY); require('fs').writeFileSync(process.env.CANDOR_OUTPUT, String(process.env.KEY.length))",
      ),
      { env: { KEY: { secret: 'deploy-key' } } },
    );
    const run = await ended(agent);
    expect(run).toMatchObject({ status: 'succeeded', output: 16 });
    expect(await machine.stdout(run)).toBe('the key is ***\n');
    expect(JSON.stringify(await machine.get(`/v1/agents/${agent.id}`))).not.toContain('sesame');
  });

  it('does not start without its secret, and its run says which', async () => {
    const agent = await machine.agent(['true'], { env: { KEY: { secret: 'nobody-has-it' } } });
    const run = await ended(agent);
    expect(run).toMatchObject({ status: 'failed', reason: 'configuration', attempt: 1 });
    expect(run.evidence.detail).toContain('nobody-has-it');
  });

  it('has its setup done once per VM, which a second run finds warm', async () => {
    const trace = path.join(machine.outside, 'setup');
    const agent = await machine.agent(['true'], { setup: [['sh', '-c', `echo once >> ${trace}`]], warmFor: 'PT1M' });
    const [first, second] = [await ended(agent), await ended(agent)];
    expect([first.status, second.status]).toEqual(['succeeded', 'succeeded']);
    expect(second.vmId).toBe(first.vmId);
    expect(fs.readFileSync(trace, 'utf8')).toBe('once\n');
    const vm = await machine.get<VmBody>(`/v1/vms/${first.vmId}`);
    expect(vm).toMatchObject({ status: 'ready', runs: [], slots: 1 });
    expect(vm.warmUntil).toBeDefined();
    const drained = await machine.post<VmBody>(`/v1/vms/${first.vmId}/drain`);
    expect(drained.status).toBe('draining');
    await machine.vmGone(first);
  });

  it('is tried again where its setup fails, and fails with the reason', async () => {
    const agent = await machine.agent(['true'], {
      setup: [['sh', '-c', 'echo no network >&2; exit 3']],
      retry: { maxAttempts: 2, backoff: 'PT0S' },
    });
    const run = await ended(agent);
    expect(run).toMatchObject({ status: 'failed', reason: 'setup_failed', attempt: 2 });
    expect(run.attempts).toMatchObject([{ attempt: 1, reason: 'setup_failed' }]);
    expect(run.evidence.detail).toContain('no network');
    const explained = await machine.get<RunExplainBody>(`/v1/runs/${run.id}/explain`);
    expect(explained.summary).toContain('attempt 2 of 2 was the last one');
  });

  it('works in a fresh checkout of its repository', async () => {
    const bare = path.join(machine.outside, 'project.git');
    const work = path.join(machine.outside, 'project');
    const git = (...args: string[]) =>
      execFileSync('git', ['-c', 'user.name=t', '-c', 'user.email=t@example.org', ...args], { stdio: 'pipe' });
    git('init', '-q', '-b', 'main', work);
    fs.writeFileSync(path.join(work, 'greeting'), 'hello from the repository\n');
    git('-C', work, 'add', '.');
    git('-C', work, 'commit', '-qm', 'first');
    git('clone', '-q', '--bare', work, bare);
    const agent = await machine.agent(['cat', 'greeting'], { repository: { url: `file://${bare}`, ref: 'main' } });
    const run = await ended(agent);
    expect(run.status).toBe('succeeded');
    expect(await machine.stdout(run)).toBe('hello from the repository\n');
  });

  it('leaves artifacts, which prove its success', async () => {
    const script = `
      const fs = require('fs');
      fs.mkdirSync('out'); fs.writeFileSync('out/report.txt', 'all is well');
      fs.writeFileSync(process.env.CANDOR_ARTIFACTS + '/note', 'by hand');`;
    const agent = await machine.agent(node(script), {
      artifacts: ['out/*.txt'],
      successCriteria: { artifact: 'out/report.txt' },
    });
    const run = await ended(agent);
    expect(run).toMatchObject({ status: 'succeeded', verification: { status: 'verified' } });
    expect(run.artifacts?.map(({ path, bytes }) => [path, bytes])).toEqual([
      ['note', 7],
      ['out/report.txt', 11],
    ]);
    const { url, token } = machine.endpoint;
    const content = await fetch(`${url}/v1/runs/${run.id}/artifacts/content?path=out/report.txt`, {
      headers: { authorization: `Bearer ${token}` },
    });
    expect(await content.text()).toBe('all is well');
    expect(content.headers.get('content-disposition')).toContain('attachment');
    const unproven = await machine.agent(['true'], { successCriteria: { artifact: 'out/report.txt' } });
    expect(await ended(unproven)).toMatchObject({ status: 'succeeded', verification: { status: 'unverified' } });
  });

  it('starts runs with its token, and nothing else of the API opens to it', async () => {
    const child = await machine.agent(['true']);
    const script = `
      const { CANDOR_URL, CANDOR_RUN_TOKEN, CANDOR_RUN_ID, CANDOR_OUTPUT } = process.env;
      const call = (method, path, body) => fetch(CANDOR_URL + path, {
        method, headers: { authorization: 'Bearer ' + CANDOR_RUN_TOKEN, 'content-type': 'application/json' },
        ...(body && { body: JSON.stringify(body) }) });
      (async () => {
        const one = await call('POST', '/v1/agents/${child.id}/runs', { input: 1 });
        const two = await call('POST', '/v1/agents/${child.id}/runs', { input: 2 });
        const list = await call('GET', '/v1/runs');
        const seal = await call('POST', '/v1/runs/' + CANDOR_RUN_ID + '/children/seal');
        const late = await call('POST', '/v1/agents/${child.id}/runs', {});
        require('fs').writeFileSync(CANDOR_OUTPUT, JSON.stringify([one, two, list, seal, late].map((a) => a.status)));
      })();`;
    const parent = await ended(await machine.agent(node(script)));
    expect(parent.output).toEqual([202, 202, 403, 200, 409]);
    const family = await until('the children', async () => {
      const list = await machine.get<ChildrenBody>(`/v1/runs/${parent.id}/children`);
      return list.completedAt !== undefined && list;
    });
    expect(family).toMatchObject({ created: 2, pending: 0, sealed: true });
    expect(family.items.map((run: RunBody) => [run.parentRunId, run.status, run.trigger.kind])).toEqual([
      [parent.id, 'succeeded', 'run'],
      [parent.id, 'succeeded', 'run'],
    ]);
  });

  it('that does nothing for its idleTimeout is ended; one that works is not', async () => {
    const silent = await machine.agent(['sleep', '300'], { limits: { idleTimeout: 'PT10S' } });
    const busy = await machine.agent(node('const until = Date.now() + 14000; while (Date.now() < until);'), {
      limits: { idleTimeout: 'PT10S' },
    });
    const [idle, worked] = await Promise.all([ended(silent), ended(busy)]);
    expect(idle).toMatchObject({ status: 'timed_out', reason: 'idle', cancel: { cause: 'idle' } });
    expect(worked.status).toBe('succeeded');
  });

  it('has its runs wait for one VM, which they take one after the other', async () => {
    const agent = await machine.agent(node("require('fs').writeFileSync(process.env.CANDOR_OUTPUT, process.cwd())"), {
      limits: { maxConcurrentVms: 1 },
    });
    const runs = await Promise.all([1, 2, 3].map(() => machine.run(agent)));
    const done = await Promise.all(runs.map((run) => machine.ended(run)));
    expect(done.map(({ status }) => status)).toEqual(['succeeded', 'succeeded', 'succeeded']);
    expect(new Set(done.map(({ output }) => output)).size).toBe(3);
    await until(
      'no VM',
      async () => machine.processes().filter(({ vmId }) => done.some((run) => run.vmId === vmId)).length === 0,
    );
  });
});
