import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { node, sh, Vm } from './harness.ts';

let vm: Vm;
beforeEach(async () => {
  vm = await Vm.create();
});
afterEach(async () => {
  const { problems } = vm.server;
  await vm.dispose();
  expect(problems).toEqual([]);
});

describe('a run that ends by itself', () => {
  it('gets its arguments, its environment and its input unharmed', async () => {
    const awkward = ['with space', `it's "quoted"`, '$HOME `id` \\', '', 'ünï→🦊', '*'];
    const script = `
      const fs = require('node:fs');
      const stdin = fs.readFileSync(0, 'utf8');
      const { env } = process;
      fs.writeFileSync(env.CANDOR_OUTPUT, JSON.stringify({
        argv: process.argv.slice(1), stdin, file: fs.readFileSync(env.CANDOR_INPUT, 'utf8'), env,
        cwd: fs.readdirSync('.'), artifacts: fs.statSync(env.CANDOR_ARTIFACTS).isDirectory() }));`;
    vm.run('run_a', [...node(script), ...awkward], {
      input: { question: ['why', 1, null] },
      env: { MINE: 'a=b c', CANDOR_RUN_ID: 'forged' },
      occurrence: '2027-01-31T09:00:00Z',
    });
    vm.startRunner();
    const entry = await vm.reached('run_a', 'ended');
    expect(entry).toMatchObject({ exitCode: 0, terminatedBy: 'self', pid: expect.any(Number) });
    const output = entry.output as { [name: string]: unknown; env: Record<string, string> };
    expect(output).toMatchObject({
      argv: awkward,
      stdin: '{"question":["why",1,null]}',
      file: '{"question":["why",1,null]}',
      cwd: [],
      artifacts: true,
    });
    expect(output.env).toMatchObject({
      MINE: 'a=b c',
      CANDOR_RUN_ID: 'run_a',
      CANDOR_ATTEMPT: '1',
      CANDOR_VM_ID: vm.vmId,
      CANDOR_OCCURRENCE: '2027-01-31T09:00:00Z',
      CANDOR_RUN_TOKEN: 'run-token',
      CANDOR_URL: `http://127.0.0.1:${vm.server.port}`,
      HOME: vm.root,
    });
    expect(output.env).not.toHaveProperty('NODE_COMPILE_CACHE');
    expect(output.env).not.toHaveProperty('RUNNER_SECRET');
    expect(vm.stderr).not.toMatch(/run-token|the-key|token-1|why/);
  });

  it('gets a string as it is, and its output is text where it is not JSON', async () => {
    vm.run('run_a', sh('cat > "$CANDOR_OUTPUT"'), { input: 'hello "you"\n' });
    vm.startRunner();
    expect(await vm.reached('run_a', 'ended')).toMatchObject({ output: 'hello "you"\n', exitCode: 0 });
  });

  it('is cut at a character when its output is too long, and the rest is counted', async () => {
    vm.run('run_a', sh('printf "abcdé" > "$CANDOR_OUTPUT"'), { maxOutputBytes: 5 });
    vm.startRunner();
    expect(await vm.reached('run_a', 'ended')).toMatchObject({ output: 'abcd', outputTruncatedBytes: 2 });
  });

  it('reports its exit code and both streams in order, through /dev/stderr too', async () => {
    const script =
      'echo one; sleep 0.1; echo two >&2; sleep 0.1; echo three > /dev/stderr; sleep 0.1; echo four; exit 7';
    vm.run('run_a', sh(script));
    vm.startRunner();
    const entry = await vm.reached('run_a', 'ended');
    expect(entry).toMatchObject({ exitCode: 7, terminatedBy: 'self' });
    expect(entry.signalsSent).toBeUndefined();
    const records = vm.server.logs('run_a');
    expect(records.map(({ stream, text }) => [stream, text])).toEqual([
      ['stdout', 'one\n'],
      ['stderr', 'two\n'],
      ['stderr', 'three\n'],
      ['stdout', 'four\n'],
    ]);
    const times = records.map(({ atMs }) => atMs);
    expect(times).toEqual([...times].sort((left, right) => left - right));
    const stored = [...vm.server.chunks.keys()].filter((key) => key.startsWith('run_a.1.'));
    expect(entry.logChunks).toBe(stored.length);
  });

  it('keeps bytes that are not UTF-8, and characters that arrive in pieces', async () => {
    vm.run('run_a', sh(`printf '\\303'; sleep 0.2; printf '\\251'; sleep 0.2; printf '\\377\\376'`));
    vm.startRunner();
    await vm.reached('run_a', 'ended');
    expect(vm.server.logs('run_a').map(({ text, base64 }) => text ?? base64)).toEqual(['é', '//4=']);
  });

  it('goes on after the limit of its log, which says how much is missing', async () => {
    vm.run('run_a', node(`process.stdout.write('x'.repeat(20_000_000), () => process.exit(3))`), { maxLogBytes: 1000 });
    vm.startRunner();
    expect(await vm.reached('run_a', 'ended')).toMatchObject({ exitCode: 3 });
    expect(vm.server.text('run_a', 'stdout')).toHaveLength(1000);
    expect(vm.server.text('run_a', 'candor')).toBe('19999000 bytes dropped here: the limit of 1000 bytes was reached');
  });

  it('has all of a large output stored, in chunks of bounded size', async () => {
    vm.run('run_a', node(`for (let i = 0; i < 200_000; i += 1) console.log('line', i)`));
    vm.startRunner();
    await vm.reached('run_a', 'ended');
    const expected = Array.from({ length: 200_000 }, (_, index) => `line ${index}\n`).join('');
    expect(vm.server.text('run_a', 'stdout') === expected).toBe(true);
    expect(Math.max(...[...vm.server.chunks.values()].map((body) => body.length))).toBeLessThan(300_000);
  });

  it('names the signal when something else killed it', async () => {
    vm.run('run_a', sh('kill -SEGV $$'));
    vm.startRunner();
    const entry = await vm.reached('run_a', 'ended');
    expect(entry).toMatchObject({ signal: 'SIGSEGV', terminatedBy: 'signal' });
    expect(entry.exitCode).toBeUndefined();
  });

  it('says why a command could not be started', async () => {
    vm.run('run_a', ['no-such-command-here']);
    vm.run('run_b', ['/etc/passwd']);
    vm.run('run_c', ['true'], { workingDirectory: '/no/such/folder' });
    vm.startRunner();
    expect(await vm.reached('run_a', 'ended')).toMatchObject({
      exitCode: 127,
      terminatedBy: 'self',
      detail: expect.stringContaining('ENOENT'),
    });
    expect(vm.server.text('run_a', 'candor')).toContain('no-such-command-here');
    expect(await vm.reached('run_b', 'ended')).toMatchObject({
      exitCode: 126,
      detail: expect.stringContaining('EACCES'),
    });
    expect(await vm.reached('run_c', 'ended')).toMatchObject({
      exitCode: 127,
      detail: expect.stringContaining('/no/such/folder'),
    });
  });

  it('leaves nothing behind: background children and setsid grandchildren end before it is reported', async () => {
    vm.run('run_a', sh('sleep 300 & setsid sleep 301 & (trap "" TERM; setsid sleep 302) & exit 0'));
    vm.startRunner();
    const entry = await vm.reached('run_a', 'ended');
    expect(vm.processesOf('run_a')).toEqual([]);
    expect(entry).toMatchObject({ exitCode: 0, terminatedBy: 'self' });
    expect(entry.detail).toContain('left running');
  });
});
