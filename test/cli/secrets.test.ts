/** `candor secrets …`: values go from standard input into files that only their owner reads, and nowhere else. */
import { mkdirSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { beforeEach, expect, test } from 'vitest';
import { FileSecrets } from '../../adapters/local/secrets.ts';
import { LOCAL_TENANT } from '../../core/access/principals.ts';
import { candor, emptyFolder, startShell, until } from './candor.ts';

let dataDir: string;
beforeEach(() => {
  dataDir = path.join(emptyFolder(), 'data');
});

const call = (args: readonly string[], stdin = '') =>
  candor(['secrets', ...args, '--data-dir', dataDir], { stdin, env: { CANDOR_URL: 'http://127.0.0.1:1' } });
const stored = (id: string) => new FileSecrets({ dataDir }).read(LOCAL_TENANT, id);

test('sets what the server reads, in files of its owner alone, without a server', async () => {
  const { code, stdout, stderr } = await call(['set', 'github'], 'se cret=\u001bü\n');
  expect([code, stdout]).toEqual([0, '']);
  expect(stderr).toBe(`Set secret github in ${dataDir}. No server has been started there yet.\n`);
  expect(await stored('github')).toBe('se cret=\u001bü');
  const modes = ['', 'secrets', 'secrets/github'].map((name) => statSync(path.join(dataDir, name)).mode & 0o777);
  expect(modes).toEqual([0o700, 0o700, 0o600]);
  writeFileSync(path.join(dataDir, 'server.json'), '{}');
  expect((await call(['set', 'github'], 'two\nlines\n\n')).stderr).not.toContain('No server');
  expect(await stored('github')).toBe('two\nlines\n');
  expect(readdirSync(path.join(dataDir, 'secrets'))).toEqual(['github']);
});

test('lists ids as the server does, never values; and removes', async () => {
  expect(await call(['list'])).toMatchObject({ code: 0, stdout: '', stderr: 'There are none.\n' });
  await call(['set', 'b'], 'value-of-b');
  await call(['set', 'a.1'], 'value-of-a');
  expect((await call(['list'])).stdout).toBe('ID\na.1\nb\n');
  const { stdout } = await call(['list', '--json']);
  expect(JSON.parse(stdout)).toEqual({ items: [{ id: 'a.1' }, { id: 'b' }] });
  expect((await call(['remove', 'b'])).code).toBe(0);
  expect([await stored('a.1'), await stored('b')]).toEqual(['value-of-a', undefined]);
  const again = await call(['remove', 'b', '--json']);
  expect(again).toMatchObject({ code: 4, stdout: '' });
  expect(JSON.parse(again.stderr)).toMatchObject({ code: 'not_found' });
});

test.each([
  [['set', 'github', 'the-value'], 'x', 'not taken from the command line'],
  [['set', '../server.json'], 'x', 'The id must be'],
  [['remove', '../server.json'], '', 'The id must be'],
  [['set', 'a'], '\n', 'is empty'],
  [['set', 'a'], 'x\0y', 'holds a NUL'],
  [['set', 'a'], 'x'.repeat(64 * 1024 + 1), 'longer than 65536 bytes'],
])('refuses %j', async (args, stdin, said) => {
  const { code, stdout, stderr } = await call(args, stdin);
  expect([code, stdout]).toEqual([2, '']);
  expect(stderr).toContain(said);
  expect(stderr).not.toContain('the-value');
  expect((await call(['list'])).stderr).toContain('There are none.');
});

test('refuses bytes that are no text', async () => {
  const line = `printf 'a\\377' | candor secrets set a --data-dir '${dataDir}'`;
  const { code, stderr } = await startShell(line).ended;
  expect(code).toBe(2);
  expect(stderr).toContain('UTF-8');
});

test('says which folder it means where another server is named, and what is wrong with a folder', async () => {
  const env = { CANDOR_URL: 'http://127.0.0.1:1', CANDOR_DATA_DIR: dataDir };
  expect((await candor(['secrets', 'list'], { env })).stderr).toContain(`those in ${dataDir}`);
  expect((await candor(['--data-dir', emptyFolder(), 'secrets', 'list'], { env })).stderr).not.toContain('CANDOR_URL');
  mkdirSync(dataDir);
  writeFileSync(path.join(dataDir, 'secrets'), 'a file');
  const { code, stderr } = await call(['set', 'a'], 'x');
  expect(code).toBe(70);
  expect(stderr).toMatch(/secrets: .*EEXIST[\s\S]*Remedy: .*--data-dir/);
});

/** A pseudo-terminal that is typed into once the question is there. */
async function typing(keys: string) {
  const line = `export -f candor; exec script -qec "candor secrets set a --data-dir '${dataDir}'" /dev/null`;
  const typed = startShell(line, { env: { SHELL: '/bin/bash' }, keepStdin: true });
  await until('it asks', () => typed.stdout().includes('Enter ends it'));
  await new Promise((resolve) => setTimeout(resolve, 200));
  typed.child.stdin!.write(keys);
  const ended = await typed.ended;
  typed.child.stdin!.end();
  return ended;
}

test('takes a line from a terminal without showing it', async () => {
  const { code, stdout } = await typing('hidx\u007fden\r');
  expect(code).toBe(0);
  expect(stdout).not.toContain('hid');
  expect(await stored('a')).toBe('hidden');
});

test('refuses a paste of several lines, and ends at Ctrl-C and at Ctrl-D', async () => {
  const pasted = await typing('-----BEGIN\r-----END\r');
  expect(pasted.code).toBe(2);
  expect(pasted.stdout).toContain('several lines');
  expect((await typing('half\u0003')).code).toBe(130);
  expect((await typing('\u0004')).code).toBe(2);
  expect(await stored('a')).toBeUndefined();
});
