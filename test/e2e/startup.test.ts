/** One owner per data folder, one door, and keys that only their owner can read. */
import fs from 'node:fs';
import { createServer } from 'node:net';
import { networkInterfaces } from 'node:os';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { enginesOf, isAlive, Machine, open, type Problem, until, witnessed } from './support.ts';

const modeOf = (file: string) => (fs.statSync(file).mode & 0o777).toString(8);

describe('candor dev', { timeout: 120_000 }, () => {
  it('refuses a data folder that another one holds, names its pid, and disturbs nothing', async () => {
    const machine = new Machine();
    const owner = await machine.start();
    const orders = machine.orders({ gated: true });
    const run = await machine.run(await machine.worker(), orders);
    await machine.running(run, orders);
    const before = fs.readFileSync(machine.endpointFile, 'utf8');
    const engines = enginesOf(machine.dataDir);

    const second = machine.launch({ args: ['--port', '0'] });
    expect(await second.exited).toBe(1);
    expect(second.stderr()).toContain(`in use by candor dev, pid ${owner.pid}`);
    expect(second.stderr()).toContain(machine.endpoint.url);
    expect(second.stdout()).toBe('');
    // The folder is the same under another name.
    const link = path.join(machine.outside, 'link');
    fs.symlinkSync(machine.dataDir, link);
    const third = machine.launch({ args: ['--port', '0', '--data-dir', link] });
    expect(await third.exited).toBe(1);
    expect(third.stderr()).toContain(`in use by candor dev, pid ${owner.pid}`);

    expect(fs.readFileSync(machine.endpointFile, 'utf8')).toBe(before);
    expect(enginesOf(machine.dataDir)).toEqual(engines);
    expect((await machine.getRun(run)).status).toBe('running');
    open(orders);
    expect(await machine.ended(run)).toMatchObject({ status: 'succeeded' });
    expect(witnessed(orders)).toEqual(['start', 'end 0']);
  });

  it('lets exactly one of several that start together have the folder', async () => {
    const machine = new Machine();
    await machine.start();
    await machine.killDev();
    const all = [1, 2, 3].map(() => machine.launch());
    const ended: (number | string)[] = [];
    for (const dev of all) void dev.exited.then((code) => ended.push(code));
    await until('two of them to give up', () => ended.length === 2);
    expect(ended).toEqual([1, 1]);
    const [winner] = all.filter(({ pid }) => isAlive(pid));
    await until('the other one to be ready', () => machine.endpoint.pid === winner?.pid);
    expect(enginesOf(machine.dataDir)).toHaveLength(1);
    await machine.get('/v1/runs');
  });

  it('ends the engine of one that was killed before it starts its own', async () => {
    const machine = new Machine();
    await machine.start();
    const [leftover] = enginesOf(machine.dataDir);
    await machine.killDev();
    expect(enginesOf(machine.dataDir)).toEqual([leftover]);
    const dev = await machine.start();
    expect(isAlive(leftover!)).toBe(false);
    const engines = enginesOf(machine.dataDir);
    await until('what it says of itself', () => dev.stdout().includes('\n'));
    expect(engines).toEqual([(JSON.parse(dev.stdout()) as { enginePid: number }).enginePid]);
    expect(engines).not.toEqual([leftover]);
  });

  it('answers nobody without its token, and only on the loopback', async () => {
    const machine = new Machine();
    await machine.start();
    const { url, token } = machine.endpoint;
    for (const wrong of ['', 'wrong', `${token}x`, token.slice(0, -1), token.toUpperCase()]) {
      const { status, body } = await machine.request<Problem>('GET', '/v1/runs', undefined, wrong);
      expect([wrong, status]).toEqual([wrong, 401]);
      expect(JSON.stringify(body)).not.toContain(token);
    }
    expect((await fetch(`${url}/v1/runs`)).status).toBe(401);
    expect((await fetch(`${url}/v1/agents`, { method: 'POST', body: '{}' })).status).toBe(401);
    const runner = { method: 'POST', headers: { authorization: `Bearer ${token}` }, body: '{}' };
    expect((await fetch(`${url}/runner/v1/register`, runner)).status).toBe(401);
    expect((await fetch(`${url}/runner/v1/heartbeat`, runner)).status).toBe(401);

    const port = Number(new URL(url).port).toString(16).toUpperCase().padStart(4, '0');
    const listening = ['tcp', 'tcp6'].flatMap((name) =>
      fs
        .readFileSync(`/proc/net/${name}`, 'utf8')
        .split('\n')
        .map((line) => line.trim().split(/\s+/))
        .filter(([, local = '', , status]) => status === '0A' && local.endsWith(`:${port}`))
        .map(([, local]) => local),
    );
    expect(listening).toEqual([`0100007F:${port}`]);
    const others = Object.values(networkInterfaces()).flatMap((each) =>
      (each ?? []).filter(({ internal, family }) => !internal && family === 'IPv4').map(({ address }) => address),
    );
    for (const address of others)
      await expect(fetch(`http://${address}:${Number.parseInt(port, 16)}/v1/health`)).rejects.toThrow();
  });

  it('keeps its keys to its owner', async () => {
    const machine = new Machine();
    fs.mkdirSync(machine.dataDir, { mode: 0o755 });
    await machine.start();
    const orders = machine.orders({ gated: true });
    const run = await machine.run(await machine.worker(), orders);
    const { vmId } = await machine.running(run, orders);
    expect(modeOf(machine.dataDir)).toBe('700');
    const vm = path.join(machine.dataDir, 'vms', vmId ?? '');
    for (const file of ['endpoint.json', 'server.json'])
      expect([file, modeOf(path.join(machine.dataDir, file))]).toEqual([file, '600']);
    for (const file of ['runner.json', 'vm.json', 'runner.log', 'journal.ndjson'])
      expect([file, modeOf(path.join(vm, file))]).toEqual([file, '600']);
    const secrets = JSON.parse(fs.readFileSync(path.join(machine.dataDir, 'server.json'), 'utf8')) as {
      token: string;
      signingKey: string;
    };
    const { key } = JSON.parse(fs.readFileSync(path.join(vm, 'runner.json'), 'utf8')) as { key: string };
    const written = [machine.dev.stderr(), fs.readFileSync(path.join(vm, 'runner.log'), 'utf8')].join('\n');
    for (const secret of [secrets.token, secrets.signingKey, key]) expect(written).not.toContain(secret);
    // What is visible to everybody on the machine: the arguments of our processes.
    for (const { pid } of machine.processes())
      for (const secret of [secrets.token, secrets.signingKey, key])
        expect(fs.readFileSync(`/proc/${pid}/cmdline`, 'utf8')).not.toContain(secret);
  });

  it('says so when its port is taken, and starts nothing', async () => {
    const machine = new Machine();
    const other = createServer();
    await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
    try {
      const address = other.address();
      const port = typeof address === 'object' && address !== null ? address.port : 0;
      const dev = machine.launch({ args: ['--port', String(port)] });
      expect(await dev.exited).toBe(1);
      expect(dev.stderr()).toContain(`port ${port} is in use by another program`);
      expect(dev.stderr()).toContain('--port');
      expect(fs.existsSync(machine.endpointFile)).toBe(false);
      expect(enginesOf(machine.dataDir)).toEqual([]);
    } finally {
      other.close();
    }
  });

  it('says so when its configuration cannot be used', async () => {
    for (const CANDOR_CONFIG of ['no json', '{"leaseSeconds": 1, "unresponsiveSeconds": 1}', '{"noSuchField": 1}']) {
      const machine = new Machine();
      const dev = machine.launch({ args: ['--port', '0'], environment: { CANDOR_CONFIG } });
      expect(await dev.exited).toBe(1);
      expect(dev.stderr()).toContain('CANDOR_CONFIG');
      expect(dev.stderr()).not.toContain('    at ');
      expect(enginesOf(machine.dataDir)).toEqual([]);
    }
  });

  it('ends, and leaves nothing running, when it cannot say where it is', async () => {
    const machine = new Machine();
    fs.mkdirSync(path.join(machine.endpointFile, 'in the way'), { recursive: true });
    const dev = machine.launch({ args: ['--port', '0'] });
    expect(await dev.exited).not.toBe(0);
    expect(enginesOf(machine.dataDir)).toEqual([]);
  });

  it('sets a folder up although it was killed again and again while it did', async () => {
    const machine = new Machine();
    for (const delayMs of [200, 300, 350, 400, 450, 500]) {
      const dev = machine.launch({ args: ['--port', '0'] });
      await new Promise((resolve) => setTimeout(resolve, delayMs));
      await machine.killDev();
      await dev.exited;
    }
    await machine.start();
    const run = await machine.run(await machine.agent(['true']));
    expect(await machine.ended(run)).toMatchObject({ status: 'succeeded' });
  });

  it('says so when its data folder is damaged or of a newer Candor, and changes nothing in it', async () => {
    for (const content of ['{', '{"schemaVersion": 99}']) {
      const machine = new Machine();
      fs.mkdirSync(machine.dataDir);
      const file = path.join(machine.dataDir, 'server.json');
      fs.writeFileSync(file, content);
      const dev = machine.launch();
      expect(await dev.exited).toBe(1);
      expect(dev.stderr()).toContain(file);
      expect(fs.readFileSync(file, 'utf8')).toBe(content);
    }
  });
});
