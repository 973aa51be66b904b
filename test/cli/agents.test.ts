/** `candor agents …`: what its many options send, alone, over a file and over what stands; and what is shown of it. */
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { candor, emptyFolder } from './candor.ts';
import { agent, FakeApi, TOKEN } from './fakeApi.ts';

let api: FakeApi;
beforeEach(async () => {
  api = await new FakeApi().listen();
});
afterEach(() => api.close());

const call = (args: readonly string[], stdin?: string) =>
  candor(['agents', ...args], {
    env: { CANDOR_URL: api.url, CANDOR_TOKEN: TOKEN },
    ...(stdin !== undefined && { stdin }),
  });

function fileOf(content: string): string {
  const file = path.join(emptyFolder(), 'agent.json');
  writeFileSync(file, content);
  return file;
}

describe('create', () => {
  beforeEach(() => {
    api.override = ({ method }) => (method === 'POST' ? { status: 201, body: agent() } : undefined);
  });
  const sent = () => api.last('POST', '/v1/agents').body;

  test('sends every option as the field that it is', async () => {
    const options =
      '--idle-timeout 5m --max-concurrent-vms 2 --setup-timeout 10m --max-output-bytes 1000 --max-attempts 4 ' +
      '--retry-backoff 30s --retry-after-start --warm-for 10m --reuse never --slots 4 --env MODE=fast ' +
      '--secret-env TOKEN=github --secret-env KEY=k=2 --artifact out/*.pdf --artifact log ' +
      '--repository https://host/app.git --ref main --repository-secret git --vcpu 2 --memory-mib 4096 --disk-gib 40 ' +
      '--architecture arm64 --market spot_first --instance-type m7g.large --instance-type m8g.large --image ami-0123456789abcdef0';
    expect((await call(['create', '--name', 'n', ...options.split(' '), '--', 'make'])).code).toBe(0);
    expect(sent()).toEqual({
      name: 'n',
      command: ['make'],
      env: { MODE: 'fast', TOKEN: { secret: 'github' }, KEY: { secret: 'k=2' } },
      limits: { idleTimeout: '5m', maxConcurrentVms: 2, setupTimeout: '10m', maxOutputBytes: 1000 },
      retry: { maxAttempts: 4, backoff: '30s', afterStart: true },
      artifacts: ['out/*.pdf', 'log'],
      repository: { url: 'https://host/app.git', ref: 'main', secret: 'git' },
      warmFor: '10m',
      reuse: 'never',
      slots: 4,
      requirements: {
        vcpu: 2,
        memoryMiB: 4096,
        diskGiB: 40,
        architecture: 'arm64',
        market: 'spot_first',
        instanceTypes: ['m7g.large', 'm8g.large'],
      },
      image: 'ami-0123456789abcdef0',
    });
  });

  test('takes the fields of a file, and what is named on the command line wins over them', async () => {
    const file = fileOf(
      JSON.stringify({
        name: 'from file',
        command: ['old'],
        setup: [['npm', 'ci']],
        successCriteria: { artifact: '*.pdf' },
        limits: { runTimeout: 'PT1H', idleTimeout: 'PT5M' },
        env: { A: '1' },
        warmFor: 'PT1H',
      }),
    );
    const options = ['--name', 'named', '--run-timeout', '2h', '--env', 'B=2', '--warm-for', 'none'];
    expect((await call(['create', '--file', file, ...options, '--no-retry-after-start'])).code).toBe(0);
    expect(sent()).toEqual({
      name: 'named',
      command: ['old'],
      setup: [['npm', 'ci']],
      successCriteria: { artifact: '*.pdf' },
      limits: { runTimeout: '2h', idleTimeout: 'PT5M' },
      env: { A: '1', B: '2' },
      retry: { afterStart: false },
    });
  });

  test('reads the file from standard input, and passes on what it does not know', async () => {
    const fields = { name: 'n', command: ['x'], novelty: null };
    expect((await call(['create', '--file', '-'], JSON.stringify(fields))).code).toBe(0);
    expect(sent()).toEqual(fields);
  });

  test.each([
    ['{not json', 'is not JSON'],
    ['[{}]', 'no object'],
    ['{"command": ["x"]}', 'needs a name'],
    ['{"name": "n"}', 'needs a command'],
    ['{"name": "n", "command": ["x"], "limits": 5}', 'limits of the file is not an object'],
  ])('refuses the file %j before anything is sent', async (content, said) => {
    const { code, stdout, stderr } = await call(['create', '--file', fileOf(content), '--idle-timeout', '5m']);
    expect([code, stdout, api.asked]).toEqual([2, '', []]);
    expect(stderr).toContain(said);
  });

  test.each([
    [['--file', '/nowhere/agent.json'], 'cannot be read'],
    [['--ref', 'main'], '--repository URL'],
    [['--repository', 'https://host/app.git'], '--ref'],
    [['--repository', 'none', '--ref', 'main'], '--repository none'],
    [['--env', 'A=1', '--secret-env', 'A=s'], 'A is set by --env and by --secret-env'],
    [['--artifact', 'none', '--artifact', '*.pdf'], '--artifact none'],
    [['--reuse', 'always'], 'same_agent'],
    [['--slots', 'none'], 'whole number from 1 to 16'],
    [['--max-attempts', '11'], 'whole number from 1 to 10'],
  ])('takes %j for wrong usage', async (options, said) => {
    const { code, stderr } = await call(['create', '--name', 'n', ...options, '--', 'x']);
    expect([code, api.asked]).toEqual([2, []]);
    expect(stderr).toContain(said);
  });
});

describe('update', () => {
  const sent = () => api.last('PATCH', '/v1/agents/agt_one').body;
  const full = {
    env: { A: '1', T: { secret: 'old' } },
    limits: { idleTimeout: 'PT5M', maxConcurrentVms: 2 },
    retry: { maxAttempts: 4, afterStart: true },
    artifacts: ['*.pdf'],
    repository: { url: 'https://host/app.git', ref: 'main', secret: 'git' },
    warmFor: 'PT1H',
    reuse: 'never',
    slots: 2,
    requirements: { vcpu: 2, instanceTypes: ['m7g.large'] },
    image: 'ami-0123456789abcdef0',
  } as const;

  test('takes each field back to its default with none', async () => {
    api.agents = [agent(full)];
    const options =
      '--idle-timeout none --max-concurrent-vms none --max-attempts none --unset-retry-after-start --artifact none ' +
      '--repository none --warm-for none --reuse none --slots none --setup-timeout none --max-output-bytes none ' +
      '--retry-backoff none --unset-env A --unset-env T --vcpu none --instance-type none --image none';
    expect((await call(['update', 'report', ...options.split(' ')])).code).toBe(0);
    expect(sent()).toEqual({
      env: null,
      limits: null,
      retry: null,
      artifacts: null,
      repository: null,
      warmFor: null,
      reuse: null,
      slots: null,
      requirements: null,
      image: null,
    });
  });

  test('keeps the neighbours of what is named', async () => {
    api.agents = [agent(full)];
    const options =
      '--retry-backoff 1m --ref v2 --repository-secret none --secret-env T=new --setup-timeout 1h --market spot';
    expect((await call(['update', 'report', ...options.split(' ')])).code).toBe(0);
    expect(sent()).toEqual({
      env: { A: '1', T: { secret: 'new' } },
      limits: { idleTimeout: 'PT5M', maxConcurrentVms: 2, setupTimeout: '1h' },
      retry: { maxAttempts: 4, afterStart: true, backoff: '1m' },
      repository: { url: 'https://host/app.git', ref: 'v2' },
      requirements: { vcpu: 2, instanceTypes: ['m7g.large'], market: 'spot' },
    });
  });

  test('lets a file replace a field as a whole, and lays the options over the file', async () => {
    api.agents = [agent(full)];
    const file = JSON.stringify({ limits: { runTimeout: 'PT1H' }, setup: [['true']], retry: null });
    const options = ['--file', '-', '--idle-timeout', '9m', '--max-attempts', '2'];
    expect((await call(['update', 'report', ...options], file)).code).toBe(0);
    expect(sent()).toEqual({
      limits: { runTimeout: 'PT1H', idleTimeout: '9m' },
      setup: [['true']],
      retry: { maxAttempts: 2 },
    });
  });

  test('refuses to set and to unset one thing at once', async () => {
    const { code, stderr } = await call(['update', 'report', '--retry-after-start', '--unset-retry-after-start']);
    expect([code, api.asked]).toEqual([2, []]);
    expect(stderr).toContain('--unset-retry-after-start');
  });
});

test('shows all of an agent, values of secrets never', async () => {
  api.agents = [
    agent({
      env: { MODE: 'fast', TOKEN: { secret: 'github' } },
      limits: { idleTimeout: 'PT5M', maxConcurrentVms: 2, setupTimeout: 'PT10M', maxOutputBytes: 1000 },
      retry: { maxAttempts: 4, backoff: 'PT30S', afterStart: false },
      successCriteria: { exitCode: 3, artifact: '*.pdf', outputSchema: { type: 'object' } },
      artifacts: ['out/*.pdf', 'log\u001b[2J'],
      setup: [
        ['npm', 'ci'],
        ['sh', '-c', 'a b'],
      ],
      repository: { url: 'https://host/app.git', ref: 'main', secret: 'git' },
      warmFor: 'PT1H',
      reuse: 'never',
      slots: 4,
    }),
  ];
  const { stdout } = await call(['get', 'report']);
  for (const part of [
    /environment +MODE=fast\n +TOKEN=\(secret github\)/,
    /repository +https:\/\/host\/app.git at main \(opened with secret git\)/,
    /setup +npm ci\n +sh -c 'a b'/,
    /idle timeout +PT5M/,
    /setup timeout +PT10M/,
    /max concurrent VMs +2/,
    /max output bytes +1000/,
    /max attempts +4/,
    /retry backoff +PT30S/,
    /retry after start +no/,
    /success +exit code 3\n +an artifact like \*\.pdf\n +an output that matches \{"type":"object"\}/,
    /artifacts +out\/\*\.pdf\n +log\\x1b\[2J/,
    /slots per VM +4/,
    /warm for +PT1H/,
    /reuse of VMs +never/,
  ])
    expect(stdout).toMatch(part);
});
