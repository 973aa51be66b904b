/** Secrets on a real `candor dev`: they are where they must be, and nowhere else. */
import fs from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { SecretFiles } from '../../cli/secretFiles.ts';
import type { FeedBody } from '../../core/contract/feed.ts';
import type { RunBody } from '../../core/contract/runs.ts';
import { Machine, sleep, until } from './support.ts';

const SECRET = 'cAnArY-of-the-environment-4711';
const CREDENTIAL = 'cAnArY-of-the-repository-0815';

interface Found {
  readonly file: string;
  readonly mode: number;
  readonly content: Buffer;
}

function everyFile(folder: string): readonly Found[] {
  return fs.readdirSync(folder, { recursive: true, withFileTypes: true }).flatMap((entry) => {
    const file = path.join(entry.parentPath, entry.name);
    if (!entry.isFile()) return [];
    try {
      const stat = fs.statSync(file);
      return [{ file: path.relative(folder, file), mode: stat.mode & 0o777, content: fs.readFileSync(file) }];
    } catch {
      // It has gone meanwhile.
      return [];
    }
  });
}

const filesWith = (folder: string, secret: string): readonly string[] =>
  everyFile(folder)
    .filter(({ content }) => content.includes(secret))
    .map(({ file }) => file)
    .sort();

const commandLines = (): string =>
  fs
    .readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
    .map((pid) => {
      try {
        return fs.readFileSync(`/proc/${pid}/cmdline`, 'utf8');
      } catch {
        return '';
      }
    })
    .join('\n');

/** All that the API says of a run, its agent and everything around them. */
async function everythingSaid(machine: Machine, runs: readonly RunBody[], agentIds: readonly string[]) {
  const paths = [
    '/v1/agents',
    '/v1/runs',
    '/v1/vms',
    '/v1/system',
    '/v1/system/audit',
    ...agentIds.map((id) => `/v1/agents/${id}`),
    ...runs.flatMap(({ id }) =>
      ['', '/events', '/logs', '/explain', '/children'].map((part) => `/v1/runs/${id}${part}`),
    ),
    ...runs.flatMap(({ vmId }) => (vmId === undefined ? [] : [`/v1/vms/${vmId}`])),
  ];
  const feed = await machine.get<FeedBody>('/v1/events');
  const bodies = await Promise.all(paths.map((each) => machine.get(each)));
  return JSON.stringify([feed, ...bodies]);
}

describe('secrets of a machine', { timeout: 120_000 }, () => {
  it('are in no answer, no log, no event, no command line, and in no file but their own', async () => {
    const machine = new Machine();
    const dev = await machine.start();
    const store = new SecretFiles(machine.dataDir);
    await store.write('environment', SECRET);
    await store.write('repository', CREDENTIAL);
    const witness = path.join(machine.outside, 'token');
    const gate = path.join(machine.outside, 'gate');
    // Work that tells everything it knows, as a careless agent does.
    const script = `
      const fs = require('fs');
      fs.writeFileSync('${witness}', process.env.CANDOR_RUN_TOKEN);
      const all = JSON.stringify(process.env);
      console.log(all); console.error(all); process.stdout.write(process.env.KEY.split('').join('') + '\\n');
      const wait = setInterval(() => { if (fs.existsSync('${gate}')) { clearInterval(wait); process.exitCode = 3; } }, 50);`;
    const env = { KEY: { secret: 'environment' } };
    const careless = await machine.agent([process.execPath, '-e', script], { env });
    const setup = [['sh', '-c', 'echo "setup knows $KEY"; echo "and fails: $KEY" >&2; exit 4']];
    const broken = await machine.agent(['true'], { env, setup, retry: { maxAttempts: 1 } });
    const repository = { url: `http://user@127.0.0.1:9/x.git`, ref: 'main', secret: 'repository' };
    const lost = await machine.agent(['true'], { repository, retry: { maxAttempts: 1 } });
    const runs = await Promise.all([careless, broken, lost].map((agent) => machine.run(agent)));
    await until('the work', () => fs.existsSync(witness));
    await machine.request('GET', `/v1/agents?token=${machine.endpoint.token}`);
    await machine.request('GET', '/v1/agents', undefined, `${CREDENTIAL}-is-no-token`);
    await sleep(300);
    expect(commandLines()).not.toMatch(new RegExp(`${SECRET}|${CREDENTIAL}`));

    fs.writeFileSync(gate, '');
    const ended = await Promise.all(runs.map((run) => machine.ended(run)));
    expect(ended.map(({ status }) => status)).toEqual(['failed', 'failed', 'failed']);
    for (const run of ended) await machine.vmGone(run);
    const logs = await machine.stdout(ended[0]!);
    expect(logs).toContain('"KEY":"***"');
    expect(logs).toContain('"CANDOR_RUN_TOKEN":"***"');

    const runToken = fs.readFileSync(witness, 'utf8');
    const { token, signingKey } = JSON.parse(fs.readFileSync(path.join(machine.dataDir, 'server.json'), 'utf8'));
    expect(runToken.length).toBeGreaterThan(40);
    const agentIds = [careless.id, broken.id, lost.id];
    // Its first line hands the token over to the program that started it and asked for it so.
    const [announced, ...printed] = dev.stdout().split('\n');
    expect(JSON.parse(announced ?? '')).toMatchObject({ token });
    const said = [await everythingSaid(machine, ended, agentIds), ...printed, dev.stderr()].join('\n');
    expect(said).toContain('run.failed');
    const secrets = { SECRET, CREDENTIAL, runToken, token, signingKey };
    expect(
      Object.entries(secrets)
        .filter(([, secret]) => said.includes(secret))
        .map(([name]) => name),
    ).toEqual([]);

    const inFiles = (secret: string) => filesWith(machine.dataDir, secret);
    expect(inFiles(SECRET)).toEqual(['secrets/environment']);
    expect(inFiles(CREDENTIAL)).toEqual(['secrets/repository']);
    expect(inFiles(token)).toEqual(['endpoint.json', 'server.json']);
    expect(inFiles(signingKey)).toEqual(['server.json']);
    expect(inFiles(runToken)).toEqual([]);
  });

  it('are readable by their owner alone', async () => {
    const machine = new Machine();
    await machine.start();
    await new SecretFiles(machine.dataDir).write('environment', SECRET);
    await machine.ended(await machine.run(await machine.agent(['true'], { env: { KEY: { secret: 'environment' } } })));
    const modeOf = (name: string) => fs.statSync(path.join(machine.dataDir, name)).mode & 0o777;
    expect(modeOf('.')).toBe(0o700);
    expect(modeOf('secrets')).toBe(0o700);
    for (const name of ['server.json', 'endpoint.json', 'secrets/environment']) expect(modeOf(name)).toBe(0o600);
  });
});
