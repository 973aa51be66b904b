import { spawn, spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, symlinkSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { candor, emptyFolder, LAUNCHER, start, until } from './candor.ts';
import { event, FakeApi, liveRun, TOKEN } from './fakeApi.ts';

const INSTALLED_NODE = fileURLToPath(new URL('../../node_modules/node/bin/node', import.meta.url));

let api: FakeApi;
beforeEach(async () => {
  api = await new FakeApi().listen();
});
afterEach(() => api.close());

/** Makes the Node that runs the tests pass for an old one, without the means of replacing a process. */
const AS_OLD_NODE = [
  '--import',
  `data:text/javascript,Object.defineProperty(process,'versions',{value:{...process.versions,node:'20.19.0'}});process.execve=undefined`,
];

/** A copy of the launcher in a project with another Node installed. */
function projectWith(installedNode: string | undefined): string {
  const folder = emptyFolder();
  cpSync(path.dirname(LAUNCHER), path.join(folder, 'cli'), { recursive: true });
  if (installedNode !== undefined) {
    mkdirSync(path.join(folder, 'node_modules/node/bin'), { recursive: true });
    symlinkSync(installedNode, path.join(folder, 'node_modules/node/bin/node'));
  }
  return path.join(folder, 'cli/candor.mjs');
}

const oldNode = ['/usr/bin/node', '/usr/local/bin/node'].find((file) => {
  if (!existsSync(file)) return false;
  const [major = 0] = spawnSync(file, ['-p', 'process.versions.node']).stdout.toString().split('.').map(Number);
  return major > 0 && major < 22;
});

test.runIf(oldNode !== undefined)('hands over from an old Node to the installed one: output, exit code, stdin', () => {
  const options = { cwd: emptyFolder(), env: { CANDOR_URL: api.url, PATH: '' } };
  const help = spawnSync(oldNode!, [LAUNCHER, '--version'], options);
  expect([help.status, help.stdout.toString().trim()]).toEqual([0, '0.1.0']);
  expect(spawnSync(oldNode!, [LAUNCHER, 'vms', 'list'], options).status).toBe(2);
});

test.runIf(oldNode !== undefined)('passes signals on to the Node that it has handed over to', async () => {
  api.runs = [liveRun()];
  api.events = [event(1, 'running')];
  const env = { CANDOR_URL: api.url, CANDOR_TOKEN: TOKEN };
  const child = spawn(oldNode!, [LAUNCHER, 'runs', 'watch', 'run_one'], {
    env: { ...process.env, ...env },
    cwd: emptyFolder(),
  });
  const ended = new Promise((resolve) => child.on('close', (code) => resolve(code)));
  await until('it watches', () => api.asked.some(({ path: asked }) => asked.endsWith('/events')));
  await new Promise((resolve) => setTimeout(resolve, 100));
  child.kill('SIGINT');
  expect(await ended).toBe(130);
});

test('says what to do where no newer Node is installed', () => {
  const launcher = projectWith(undefined);
  const { status, stderr } = spawnSync(process.execPath, [...AS_OLD_NODE, launcher, '--version']);
  expect(status).toBe(2);
  expect(stderr.toString()).toMatch(/needs Node\.js 22\.18 .* this is 20\.19\.0[\s\S]*npm install/);
});

test('does not hand over to itself for ever when the installed Node is too old as well', () => {
  const launcher = projectWith(process.execPath);
  const { status } = spawnSync(process.execPath, [...AS_OLD_NODE, launcher, '--version']);
  expect(status).toBe(2);
});

test.runIf(existsSync(INSTALLED_NODE))('the tests run on the installed Node or a newer one', async () => {
  const { code, stdout } = await candor(['--version']);
  expect([code, stdout.trim()]).toEqual([0, '0.1.0']);
});

test('ends by itself at SIGTERM', async () => {
  api.runs = [liveRun()];
  const watching = start(['runs', 'watch', 'run_one'], { env: { CANDOR_URL: api.url, CANDOR_TOKEN: TOKEN } });
  await until('it watches', () => api.asked.length > 0);
  watching.child.kill('SIGTERM');
  expect((await watching.ended).signal).toBe('SIGTERM');
});
