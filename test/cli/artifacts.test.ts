/** `candor runs artifacts` and `artifact`: what is downloaded is what the run has left, or it is said not to be. */
import { createHash } from 'node:crypto';
import { lstatSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { candor, emptyFolder, start, startShell, until } from './candor.ts';
import { type Answer, AS_OF, FakeApi, liveRun, run, TOKEN } from './fakeApi.ts';

const CONTENT_PATH = '/v1/runs/run_one/artifacts/content';
const CONTENT = Buffer.from([0x00, 0xff, 0x0a, ...Buffer.alloc(100_000, 'x')]);
const sha256 = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex');
const artifactOf = (bytes: Buffer) => ({ path: 'out/a b.bin', bytes: bytes.length, sha256: sha256(bytes) });

let api: FakeApi;
let folder: string;
beforeEach(async () => {
  api = await new FakeApi().listen();
  api.runs = [run({ artifacts: [artifactOf(CONTENT)] })];
  folder = emptyFolder();
  answerWith({ bytes: CONTENT });
});
afterEach(() => api.close());

const env = (): Record<string, string> => ({ CANDOR_URL: api.url, CANDOR_TOKEN: TOKEN });
const call = (...args: readonly string[]) => candor(['runs', ...args], { env: env(), cwd: folder });

function answerWith(answer: Answer | 'hold'): void {
  api.override = ({ path: asked }) => (asked === CONTENT_PATH ? answer : undefined);
}

test('lists what the run has left, and says what an empty list means', async () => {
  const { stdout } = await call('artifacts', 'run_one');
  expect(stdout).toBe(`PATH         BYTES   SHA-256\nout/a b.bin  100003  ${sha256(CONTENT)}\n`);
  const machine = await call('artifacts', 'run_one', '--json');
  expect(JSON.parse(machine.stdout)).toEqual({ items: [artifactOf(CONTENT)], asOf: AS_OF });
  api.runs = [liveRun()];
  expect((await call('artifacts', 'run_one')).stderr).toContain('none yet');
  api.runs = [run()];
  expect(await call('artifacts', 'run_one')).toMatchObject({ code: 0, stdout: '', stderr: 'There are none.\n' });
});

test('writes the file when all of it has arrived, over a plain file that was there', async () => {
  writeFileSync(path.join(folder, 'a.bin'), 'old');
  const { code, stdout, stderr } = await call('artifact', 'run_one', 'out/a b.bin', '-o', 'a.bin');
  expect([code, stdout]).toEqual([0, '']);
  expect(stderr).toContain(`Wrote`);
  expect(readFileSync(path.join(folder, 'a.bin')).equals(CONTENT)).toBe(true);
  expect(readdirSync(folder)).toEqual(['a.bin']);
  expect(api.last('GET', CONTENT_PATH).query.get('path')).toBe('out/a b.bin');
});

test('replaces the file behind a symbolic link, not the link', async () => {
  writeFileSync(path.join(folder, 'real'), 'old');
  symlinkSync('real', path.join(folder, 'link'));
  const { stdout } = await call('artifact', 'run_one', 'out/a b.bin', '-o', 'link', '--json');
  expect(JSON.parse(stdout)).toMatchObject({ ...artifactOf(CONTENT), file: expect.stringMatching(/real$/) });
  expect(lstatSync(path.join(folder, 'link')).isSymbolicLink()).toBe(true);
  expect(readFileSync(path.join(folder, 'real')).equals(CONTENT)).toBe(true);
});

test('passes the bytes on to a pipe as they are', async () => {
  const line = `candor runs artifact run_one 'out/a b.bin' | sha256sum`;
  const { stdout, stderr } = await startShell(line, { env: env() }).ended;
  expect([stdout.slice(0, 64), stderr]).toEqual([sha256(CONTENT), '']);
});

test('follows to where the bytes lie, without the credential', async () => {
  const elsewhere = await new FakeApi().listen();
  elsewhere.override = () => ({ bytes: CONTENT });
  answerWith({ status: 307, headers: { Location: `${elsewhere.url}/bucket/key?signature=s` } });
  expect((await call('artifact', 'run_one', 'out/a b.bin', '-o', 'a.bin')).code).toBe(0);
  expect(readFileSync(path.join(folder, 'a.bin')).equals(CONTENT)).toBe(true);
  expect(elsewhere.asked[0]?.headers.authorization).toBeUndefined();
  elsewhere.override = () => ({ status: 403 });
  const refused = await call('artifact', 'run_one', 'out/a b.bin', '-o', 'b.bin');
  await elsewhere.close();
  expect(refused.code).toBe(5);
  expect(refused.stderr).toContain('where the content lies, answered 403');
});

describe('leaves no file and nothing half', () => {
  test('where the bytes are not those of the artifact', async () => {
    writeFileSync(path.join(folder, 'a.bin'), 'old');
    answerWith({ bytes: Buffer.from('other') });
    const { code, stderr } = await call('artifact', 'run_one', 'out/a b.bin', '-o', 'a.bin');
    expect(code).toBe(5);
    expect(stderr).toContain(sha256(Buffer.from('other')));
    expect(stderr).toContain(sha256(CONTENT));
    expect([readdirSync(folder), readFileSync(path.join(folder, 'a.bin'), 'utf8')]).toEqual([['a.bin'], 'old']);
    const piped = await call('artifact', 'run_one', 'out/a b.bin');
    expect([piped.code, piped.stdout]).toEqual([5, 'other']);
  });

  test('where the answer breaks off', async () => {
    answerWith({ bytes: CONTENT, cutAfter: 50_000 });
    const { code, stderr } = await call('artifact', 'run_one', 'out/a b.bin', '-o', 'a.bin');
    expect([code, readdirSync(folder)]).toEqual([3, []]);
    expect(stderr).toContain('broke off after 50000 bytes');
  });

  test('where it is interrupted', async () => {
    answerWith('hold');
    const args = ['runs', 'artifact', 'run_one', 'out/a b.bin', '-o', 'a.bin'];
    const downloading = start(args, { env: env(), cwd: folder });
    await until('it downloads', () => api.asked.some((asked) => asked.path === CONTENT_PATH));
    downloading.child.kill('SIGINT');
    expect([(await downloading.ended).code, readdirSync(folder)]).toEqual([130, []]);
  });
});

test('reads again when the server is busy, and says a refusal as what it is', async () => {
  let failures = 1;
  api.override = ({ path: asked }) => {
    if (asked !== CONTENT_PATH) return undefined;
    return failures-- > 0 ? { status: 503, body: { title: 'busy' } } : { bytes: CONTENT };
  };
  expect((await call('artifact', 'run_one', 'out/a b.bin', '-o', 'a.bin')).code).toBe(0);
  answerWith({ status: 404, body: { title: 'gone', code: 'not_found' } });
  expect((await call('artifact', 'run_one', 'out/a b.bin', '-o', 'b.bin')).code).toBe(4);
});

test.each([
  ['a path that is none of the artifacts', ['artifact', 'run_one', 'b'], 4, 'candor runs artifacts run_one'],
  ['a folder', ['artifact', 'run_one', 'out/a b.bin', '-o', 'folder'], 2, 'is a folder'],
  ['a device', ['artifact', 'run_one', 'out/a b.bin', '-o', '/dev/null'], 2, 'no plain file'],
  ['a folder that is not there', ['artifact', 'run_one', 'out/a b.bin', '-o', 'no/a'], 2, 'There is no folder no'],
])('refuses %s before it downloads', async (_, args, exitCode, said) => {
  mkdirSync(path.join(folder, 'folder'));
  const { code, stderr } = await call(...args);
  expect(code).toBe(exitCode);
  expect(stderr).toContain(said);
  expect(api.asked.some((asked) => asked.path === CONTENT_PATH)).toBe(false);
});

test('shows text on a terminal with its control characters written out, and refuses anything else there', async () => {
  const onTerminal = async () => {
    const line = `export -f candor; script -qec "candor runs artifact run_one 'out/a b.bin'" /dev/null < /dev/null`;
    return startShell(line, { env: { ...env(), SHELL: '/bin/bash' } }).ended;
  };
  const refused = await onTerminal();
  expect(refused.code).toBe(2);
  expect(refused.stdout).toContain('-o FILE');
  expect(refused.stdout).not.toContain('xxx');
  const text = Buffer.from('\u001b[31mü\n');
  api.runs = [run({ artifacts: [artifactOf(text)] })];
  answerWith({ bytes: text });
  expect((await onTerminal()).stdout).toBe('\\x1b[31mü\r\n');
});
