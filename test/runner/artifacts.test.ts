import { createHash } from 'node:crypto';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ARTIFACT_LIMITS, type ArtifactSources, collectArtifacts } from '../../runner/artifacts.ts';
import { deposit } from '../../runner/deposit.ts';
import type { Answer } from '../../runner/door.ts';
import { sh, Vm, waitFor } from './harness.ts';

const MIB = 1024 * 1024;
const sha256 = (content: string | Buffer) => createHash('sha256').update(content).digest('hex');
const artifact = (name: string, content: string) => ({ path: name, bytes: content.length, sha256: sha256(content) });

describe('the artifacts of a run', () => {
  let vm: Vm;
  beforeEach(async () => {
    vm = await Vm.create();
  });
  afterEach(async () => {
    const { problems } = vm.server;
    await vm.dispose();
    expect(problems).toEqual([]);
  });
  const paths = (runId: string) => vm.server.entry(runId)?.artifacts?.map(({ path: name }) => name);

  it('are stored before they are told of: those in their folder, and those that the agent declares', async () => {
    const script = `cd "$CANDOR_ARTIFACTS"; mkdir deep; printf one > "deep/ä b?&.txt"; : > empty
      cd "$OLDPWD"; mkdir out; printf two > out/x.log; printf three > out/x.tmp`;
    vm.run('run_a', sh(script), { artifacts: ['out/*.log', 'none/**'] });
    vm.startRunner();
    const entry = await vm.reached('run_a', 'ended');
    expect(entry.artifacts).toEqual([
      artifact('deep/ä b?&.txt', 'one'),
      artifact('empty', ''),
      artifact('out/x.log', 'two'),
    ]);
    expect(entry).toMatchObject({ logChunks: 1 });
    expect(entry.detail).toBeUndefined();
    expect([...vm.server.artifacts].map(([name, bytes]) => [name, bytes.toString()])).toEqual([
      ['run_a.1/deep/ä b?&.txt', 'one'],
      ['run_a.1/empty', ''],
      ['run_a.1/out/x.log', 'two'],
    ]);
    expect(vm.server.text('run_a', 'candor')).toBe('No file matches the artifacts "none/**".');
  });

  it('go, whatever their size, to where the server sends them, and the token does not', async () => {
    vm.server.bodyBytesMax = MIB;
    vm.server.artifactLocation = (url) => `http://127.0.0.1:${vm.server.port}/store${url}`;
    const script = `cd "$CANDOR_ARTIFACTS"; head -c 30000000 /dev/urandom > large; echo small > small; sha256sum large > "$CANDOR_OUTPUT"`;
    vm.run('run_a', sh(script));
    vm.startRunner();
    const entry = await vm.reached('run_a', 'ended');
    expect(paths('run_a')).toEqual(['large', 'small']);
    expect(vm.server.artifacts.get('run_a.1/large')).toHaveLength(30_000_000);
    expect(String(entry.output)).toContain(entry.artifacts![0]!.sha256);
    expect(vm.server.asked).toEqual(['large']);
  });

  it('go there with their checksum, where the link was signed with it', async () => {
    const signed = 'X-Amz-SignedHeaders=content-length%3Bhost%3Bx-amz-checksum-sha256';
    vm.server.artifactLocation = (url) => `http://127.0.0.1:${vm.server.port}/store${url}&${signed}`;
    vm.run('run_a', sh(`cd "$CANDOR_ARTIFACTS"; head -c ${MIB + 1} /dev/zero > large; echo small > small`));
    vm.startRunner();
    await vm.reached('run_a', 'ended');
    expect(paths('run_a')).toEqual(['large', 'small']);
  });

  it('are asked about above one MiB, and come to the server where it wants them itself', async () => {
    vm.run(
      'run_a',
      sh(`cd "$CANDOR_ARTIFACTS"; head -c ${MIB + 1} /dev/zero > over; head -c ${MIB} /dev/zero > under`),
    );
    vm.startRunner();
    await vm.reached('run_a', 'ended');
    expect([...vm.server.artifacts].map(([name, bytes]) => [name, bytes.length])).toEqual([
      ['run_a.1/over', MIB + 1],
      ['run_a.1/under', MIB],
    ]);
    expect(vm.server.asked).toEqual(['over']);
  });

  it('are left out where the server wants what does not come through to it', async () => {
    vm.server.bodyBytesMax = MIB;
    vm.run('run_a', sh(`cd "$CANDOR_ARTIFACTS"; head -c ${MIB + 1} /dev/zero > over; echo small > small`));
    vm.startRunner();
    const entry = await vm.reached('run_a', 'ended');
    expect(paths('run_a')).toEqual(['small']);
    expect(entry.detail).toBe('The artifact "over" could not be stored: it was refused (413).');
    expect(vm.server.asked).toEqual(['over']);
  });

  it('are sent again while the server fails, and left out with a remark where it does not want them', async () => {
    let fails = 2;
    vm.server.verdict = (url) => {
      if (url.includes('path=no')) return { status: 413, code: 'too_large' };
      if (!url.includes('/artifacts?') || fails === 0) return undefined;
      fails -= 1;
      return { status: fails === 1 ? 503 : 401 };
    };
    vm.run('run_a', sh('cd "$CANDOR_ARTIFACTS"; echo a > a; echo no > no; echo z > z'));
    vm.startRunner();
    const entry = await vm.reached('run_a', 'ended');
    expect(paths('run_a')).toEqual(['a', 'z']);
    expect(entry.detail).toBe('The artifact "no" could not be stored: it was refused (413 too_large).');
    expect(fails).toBe(0);
  });

  it('are stored by the next runner when the one that was at it is killed', async () => {
    vm.server.verdict = (url) => (url.includes('path=b') ? { status: 503 } : undefined);
    vm.run('run_a', sh('cd "$CANDOR_ARTIFACTS"; echo a > a; echo b > b'));
    vm.startRunner();
    await waitFor('the first to be stored', () => vm.server.artifacts.has('run_a.1/a'));
    await vm.killRunner();
    vm.server.verdict = () => undefined;
    vm.startRunner();
    await vm.reached('run_a', 'ended');
    expect(paths('run_a')).toEqual(['a', 'b']);
  });
});

describe('artifacts that are collected', () => {
  let root: string;
  let sources: ArtifactSources;
  beforeEach(() => {
    root = fs.mkdtempSync(path.join(os.tmpdir(), 'candor-artifacts-'));
    sources = { folder: path.join(root, 'artifacts'), workingFolder: path.join(root, 'work'), globs: [] };
    for (const folder of [sources.folder, sources.workingFolder]) fs.mkdirSync(folder);
  });
  afterEach(() => fs.rmSync(root, { recursive: true }));
  const put = (folder: string, name: string, content: string) => {
    fs.mkdirSync(path.dirname(path.join(folder, name)), { recursive: true });
    fs.writeFileSync(path.join(folder, name), content);
  };
  const found = async (...globs: string[]) => {
    const { artifacts, remarks } = await collectArtifacts({ ...sources, globs });
    return { names: artifacts.map(({ path: name }) => name), remarks };
  };

  it('match their globs as a shell would match them', async () => {
    for (const name of ['a.txt', 'b/a.txt', 'b/c/a.txt', 'b/c/d.md', 'a+b(1).txt', 'x/y']) {
      put(sources.workingFolder, name, name);
    }
    expect((await found('*.txt')).names).toEqual(['a+b(1).txt', 'a.txt']);
    expect((await found('**/*.txt')).names).toEqual(['a+b(1).txt', 'a.txt', 'b/a.txt', 'b/c/a.txt']);
    expect((await found('b/?/*')).names).toEqual(['b/c/a.txt', 'b/c/d.md']);
    expect((await found('x', './a+b(1).txt')).names).toEqual(['a+b(1).txt', 'x/y']);
    expect((await found('b//c/./a.txt')).names).toEqual(['b/c/a.txt']);
  });

  it('lead nowhere else: links, parents and absolute paths are left out, with a remark', async () => {
    put(root, 'secret', 'secret');
    fs.symlinkSync(path.join(root, 'secret'), path.join(sources.folder, 'out'));
    fs.symlinkSync('/', path.join(sources.workingFolder, 'slash'));
    put(sources.folder, 'in', 'in');
    fs.symlinkSync('in', path.join(sources.folder, 'alias'));
    const { names, remarks } = await found('../secret', '/etc/passwd', 'slash/etc/passwd');
    expect(names).toEqual(['alias', 'in']);
    expect(remarks.join('\n')).toMatch(/"..\/secret".*outside/);
    expect(remarks.join('\n')).toMatch(/"\/etc\/passwd".*outside/);
    expect(remarks.join('\n')).toMatch(/"out" was left out: it is a link that leads out of the folder/);
    expect(remarks.join('\n')).toContain('slash/etc/passwd');
  });

  it('keep to the limits of number, size and search', async () => {
    for (const name of ['a', 'b', 'c']) put(sources.folder, name, '12345');
    const within = async (limits: Partial<typeof ARTIFACT_LIMITS>) => {
      const { artifacts, remarks } = await collectArtifacts(sources, { ...ARTIFACT_LIMITS, ...limits });
      return [artifacts.map(({ path: name }) => name).join(''), remarks.length];
    };
    expect(await within({ files: 2 })).toEqual(['ab', 1]);
    expect(await within({ bytes: 12 })).toEqual(['ab', 1]);
    expect((await within({ entries: 1 }))[1]).toBe(1);
    expect(await within({})).toEqual(['abc', 0]);
  });

  it('are given up together when the server fails for too long, and not tried where nobody is there', async () => {
    for (const name of ['a', 'b', 'c', 'd', 'e', 'f', 'g']) put(sources.folder, name, name);
    const { artifacts } = await collectArtifacts(sources);
    const tried: string[] = [];
    const door = (ms: number, answer: Answer | undefined) => ({
      put: async ({ path: name }: { path: string }) => {
        tried.push(name);
        return answer;
      },
      reachable: () => true,
      patience: () => ({ ms, whileUnreachable: false }),
    });
    const failing = await deposit(artifacts, sources, door(500, { kind: 'refused', status: 503, code: undefined }));
    expect(failing.stored).toEqual([]);
    expect(failing.remarks[0]).toBe('The artifact "a" could not be stored: the server fails (503).');
    expect(failing.remarks.at(-1)).toBe('Nor could 2 more.');
    expect(tried.filter((name) => name === 'a').length).toBeGreaterThan(1);
    expect(tried.filter((name) => name !== 'a').join('')).toBe('bcdefg');
    tried.length = 0;
    const unheard = await deposit(artifacts, sources, door(0, undefined));
    expect([unheard.stored, unheard.remarks.length, tried]).toEqual([[], 6, []]);
  });
});
