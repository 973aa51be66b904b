import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { secretsOf } from '../../runner/checkout.ts';
import { sh, Vm, waitFor } from './harness.ts';

const TIMEOUT_MS = 60_000;
const CREDENTIAL = 'pa55/word with spaces';

let vm: Vm;
let bare: string;
let first: string;
const servers: Server[] = [];
beforeEach(async () => {
  vm = await Vm.create();
  bare = vm.file('origin.git');
  first = makeRepository();
});
afterEach(async () => {
  const { problems } = vm.server;
  await vm.dispose();
  for (const server of servers.splice(0)) server.close();
  expect(problems).toEqual([]);
});

function git(cwd: string, ...args: string[]): string {
  const env = { PATH: process.env.PATH, HOME: vm.root, GIT_CONFIG_GLOBAL: '/dev/null', GIT_CONFIG_NOSYSTEM: '1' };
  return execFileSync('git', ['-c', 'user.name=a', '-c', 'user.email=b', ...args], {
    cwd,
    env,
    encoding: 'utf8',
  }).trim();
}

/** A repository with two commits on `main`, the tag `v1` on the first of them, whose id is answered. */
function makeRepository(): string {
  const source = vm.file('source');
  fs.mkdirSync(source);
  git(source, 'init', '--quiet', '--initial-branch=main');
  const commit = (content: string) => {
    fs.writeFileSync(path.join(source, 'file'), content);
    git(source, 'add', '.');
    git(source, 'commit', '--quiet', '-m', content);
  };
  commit('one');
  git(source, 'tag', '-a', '-m', 'first', 'v1');
  commit('two');
  git(vm.root, 'clone', '--quiet', '--bare', source, bare);
  git(bare, 'update-server-info');
  return git(source, 'rev-parse', 'HEAD~1');
}

interface Served {
  readonly port: number;
  readonly logins: Set<string>;
}

/** Serves the repository's files to whoever logs in, or sends on to another server. */
async function serve(redirectTo?: () => string): Promise<Served> {
  const logins = new Set<string>();
  const server = createServer((request, response) => {
    if (redirectTo) return response.writeHead(302, { location: `${redirectTo()}${request.url}` }).end();
    const { authorization = '' } = request.headers;
    const login = Buffer.from(authorization.replace('Basic ', ''), 'base64').toString('utf8');
    if (!login.endsWith(':') && login !== '') logins.add(login);
    if (!login.endsWith(`:${CREDENTIAL}`)) {
      return response.writeHead(401, { 'www-authenticate': 'Basic realm="test"' }).end();
    }
    const file = path.join(bare, (request.url ?? '').replace('/repo.git', '').split('?')[0] ?? '');
    if (!fs.existsSync(file)) return response.writeHead(404).end();
    return response.writeHead(200).end(fs.readFileSync(file));
  });
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { port: (server.address() as AddressInfo).port, logins };
}

const SHOW = sh('cat file; git log --format=%s | wc -l; git status --porcelain; git remote -v');
const local = (ref: string) => ({ url: `file://${bare}`, ref, timeoutMs: TIMEOUT_MS });

describe('a checkout', () => {
  it('of a branch, a tag or a commit stands in the working folder, with no more history than it needs', async () => {
    vm.run('run_branch', SHOW, { repository: local('main') });
    vm.run('run_tag', SHOW, { repository: local('v1') });
    vm.run('run_commit', SHOW, { repository: local(first) });
    vm.startRunner();
    for (const [runId, content] of [
      ['run_branch', 'two'],
      ['run_tag', 'one'],
      ['run_commit', 'one'],
    ] as const) {
      expect(await vm.reached(runId, 'ended')).toMatchObject({ exitCode: 0 });
      const said = vm.server.text(runId, 'stdout');
      expect(said).toMatch(new RegExp(`^${content}1\norigin\tfile://${bare} \\(fetch\\)`));
    }
  });

  it('gets all of the history from a server that does not give out one commit, and logs in by the credential', async () => {
    const { port, logins } = await serve();
    const script = `tr '\\0' '\\n' < /proc/$PPID/environ > ${vm.file('parent')}; env > ${vm.file('env')}; ps -ef > ${vm.file('ps')}; cat file .git/config; ls -A ..`;
    const repository = { url: `http://127.0.0.1:${port}/repo.git`, credential: CREDENTIAL, timeoutMs: TIMEOUT_MS };
    vm.run('run_a', sh(script), { repository: { ...repository, ref: first } });
    const url = `http://a%40b:old@127.0.0.1:${port}/repo.git`;
    vm.run('run_b', sh('cat file; git remote -v'), { repository: { ...repository, url, ref: 'main' } });
    vm.startRunner();
    expect(await vm.reached('run_a', 'ended')).toMatchObject({ exitCode: 0 });
    expect(vm.server.text('run_a', 'stdout')).toMatch(/^one/);
    expect(await vm.reached('run_b', 'ended')).toMatchObject({ exitCode: 0 });
    expect(vm.server.text('run_b', 'stdout')).toMatch(/^twoorigin/);
    expect([...logins].sort()).toEqual([`a@b:${CREDENTIAL}`, `x-access-token:${CREDENTIAL}`]);
    for (const name of ['parent', 'env', 'ps']) expect(vm.read(name)).not.toContain('pa55');
    expect(vm.read('env')).not.toMatch(/GIT_|ASKPASS/);
    for (const runId of ['run_a', 'run_b']) {
      expect(vm.contentsOf(runId)).not.toMatch(/pa55|:old@/);
      expect(JSON.stringify(vm.server.logs(runId))).not.toMatch(/pa55|:old@/);
    }
    expect(vm.stderr).not.toContain('pa55');
  });

  it('that fails is the reason why nothing was started, in git’s own words', async () => {
    const { port } = await serve();
    const witness = sh(`touch ${vm.file('work')}`);
    const start = (runId: string, repository: object) =>
      vm.run(runId, witness, { repository: { ...local('main'), ...repository }, artifacts: ['**'] });
    start('run_ref', { ref: 'no-such-branch' });
    start('run_commit', { ref: 'a'.repeat(40) });
    start('run_option', { ref: '--upload-pack=touch work' });
    start('run_url', { url: `file://${vm.root}/nowhere` });
    start('run_helper', { url: `ext::touch ${vm.file('work')}` });
    start('run_refused', { url: `http://127.0.0.1:${port}/repo.git`, credential: 'wrong-but-secret' });
    start('run_asked', { url: `http://127.0.0.1:${port}/repo.git` });
    vm.startRunner();
    for (const [runId, why] of [
      ['run_ref', /couldn't find remote ref no-such-branch/],
      ['run_commit', /a{40}/],
      ['run_option', /"--upload-pack=touch work" is no branch, tag or commit id/],
      ['run_url', /nowhere/],
      ['run_helper', /transport 'ext' not allowed/],
      ['run_refused', /Authentication failed/],
      ['run_asked', /could not read Username/],
    ] as const) {
      const entry = await vm.reached(runId, 'not_started');
      expect(entry).toMatchObject({ notStartedBecause: 'repository', detail: expect.stringMatching(why) });
      expect(entry.artifacts).toBeUndefined();
      expect(JSON.stringify([entry, vm.server.logs(runId)])).not.toContain('wrong-but-secret');
    }
    expect(vm.read('work')).toBeUndefined();
  });

  it('does not hand the credential to a server that it is sent on to', async () => {
    const other = await serve();
    const { port } = await serve(() => `http://localhost:${other.port}`);
    const url = `http://127.0.0.1:${port}/repo.git`;
    vm.run('run_a', ['true'], { repository: { url, ref: 'main', credential: CREDENTIAL, timeoutMs: TIMEOUT_MS } });
    vm.startRunner();
    expect(await vm.reached('run_a', 'not_started')).toMatchObject({ notStartedBecause: 'repository' });
    expect([...other.logins]).toEqual([]);
  });

  it('that hangs is ended when its time is up, or by a cancel', async () => {
    const server = createServer(() => {});
    servers.push(server);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/repo.git`;
    vm.run('run_a', ['true'], { repository: { url, ref: 'main', timeoutMs: 500 } });
    vm.run('run_b', ['true'], { repository: { url, ref: 'main', timeoutMs: TIMEOUT_MS } });
    vm.startRunner();
    expect(await vm.reached('run_a', 'not_started')).toMatchObject({
      notStartedBecause: 'repository',
      detail: expect.stringContaining('it took longer than 0.5 seconds'),
    });
    await waitFor('the checkout to have begun', () => vm.server.text('run_b', 'candor') !== '');
    expect(vm.server.entry('run_b')).toMatchObject({
      state: 'starting',
      detail: 'Its repository is being checked out.',
    });
    vm.cancel('run_b');
    expect(await vm.reached('run_b', 'not_started')).toMatchObject({ notStartedBecause: 'refused' });
    for (const runId of ['run_a', 'run_b']) expect(vm.processesOf(runId)).toEqual([]);
    server.closeAllConnections();
  });

  it('comes after the setup, and a folder in it can be the working folder', async () => {
    const source = vm.file('source');
    fs.mkdirSync(path.join(source, 'deep'));
    fs.writeFileSync(path.join(source, 'deep/er'), 'here');
    git(source, 'add', '.');
    git(source, 'commit', '--quiet', '-m', 'deep');
    const setup = { commands: [sh('echo set up')], timeoutMs: TIMEOUT_MS };
    vm.run('run_a', ['cat', 'er'], {
      setup,
      repository: { ...local('main'), url: source },
      workingDirectory: 'deep',
      artifacts: ['er'],
    });
    vm.startRunner();
    expect(await vm.reached('run_a', 'ended')).toMatchObject({ exitCode: 0 });
    expect(vm.server.text('run_a', 'stdout')).toBe('set up\nhere');
  });
});

describe('the secrets of a checkout', () => {
  it('are the credential and the password in the URL, as they are and as a URL shows them', () => {
    const at = (url: string, credential?: string) =>
      secretsOf({ url, ref: 'main', timeoutMs: 1, ...(credential !== undefined && { credential }) });
    expect(at('https://example.com/x', 'a b')).toEqual(['a b', 'a%20b']);
    expect(at('https://me:p%40ss@example.com/x')).toEqual(['p%40ss', 'p%2540ss', 'p@ss']);
    expect(at('https://me@example.com/x')).toEqual([]);
    expect(at('/a/path', '')).toEqual([]);
  });
});
