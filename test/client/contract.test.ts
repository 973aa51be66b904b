/** The client's types are the contract's, and its package is whole: built, packed and used as those who install it do. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { publicDocument } from '../../adapters/http/app.ts';
import { clientContract } from '../../scripts/clientContract.ts';

const ROOT = path.join(import.meta.dirname, '../..');
const CLIENT = path.join(ROOT, 'client');

it('client/src/contract.ts is what the document says; `npm run openapi` writes it anew', () => {
  const kept = readFileSync(path.join(CLIENT, 'src/contract.ts'), 'utf8');
  expect(kept).toBe(clientContract(JSON.parse(JSON.stringify(publicDocument()))));
});

describe('the package', () => {
  let folder: string;
  const tsc = (...args: string[]) =>
    execFileSync(path.join(ROOT, 'node_modules/.bin/tsc'), args, { cwd: folder, encoding: 'utf8' });
  beforeAll(async () => {
    folder = mkdtempSync(path.join(tmpdir(), 'candor-client-'));
    rmSync(path.join(CLIENT, 'dist'), { recursive: true, force: true });
    tsc('-p', CLIENT);
    await mkdir(path.join(folder, 'node_modules'));
    symlinkSync(CLIENT, path.join(folder, 'node_modules/candor-client'));
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  it('has what it needs and nothing else, and depends on nothing', () => {
    const [pack] = JSON.parse(
      execFileSync('npm', ['pack', '--dry-run', '--json', '--ignore-scripts'], { cwd: CLIENT, encoding: 'utf8' }),
    ) as readonly { readonly name: string; readonly files: readonly { readonly path: string }[] }[];
    const built = ['client', 'contract', 'errors', 'index', 'request'].flatMap((name) => [
      `dist/${name}.d.ts`,
      `dist/${name}.js`,
    ]);
    expect(pack?.files.map((file) => file.path).toSorted()).toEqual(['README.md', ...built, 'package.json'].toSorted());
    const manifest = JSON.parse(readFileSync(path.join(CLIENT, 'package.json'), 'utf8')) as object;
    expect(Object.keys(manifest).filter((name) => /dependencies/i.test(name))).toEqual([]);
    const imports = built
      .filter((file) => file.endsWith('.js'))
      .flatMap((file) => [...readFileSync(path.join(CLIENT, file), 'utf8').matchAll(/from '([^']+)'/g)])
      .map(([, name]) => name);
    expect(imports.filter((name) => !name?.startsWith('./'))).toEqual([]);
  }, 60_000);

  it('is used with its types alone, and wrong uses do not compile', () => {
    const strict = [
      '--noEmit',
      '--strict',
      '--target',
      'es2022',
      '--module',
      'nodenext',
      '--types',
      '',
      '--lib',
      'es2023,dom',
    ];
    writeFileSync(path.join(folder, 'package.json'), '{"type": "module"}');
    writeFileSync(
      path.join(folder, 'use.ts'),
      `import { Candor, ProblemError, type Run } from 'candor-client';
const candor = new Candor({ endpoint: { url: 'http://localhost', token: 't' } });
export const run: Run = await candor.call('createRun', { path: { agentId: 'agt_x' }, body: { input: [1] } });
export const health = await candor.call('getHealth');
for await (const each of candor.items('listRuns', { query: { status: 'live' } })) console.log(each.status === 'lost');
await candor.call('deleteAgent', { path: { agentId: 'agt_x' }, ifMatch: 3 });
// @ts-expect-error the version is required
await candor.call('deleteAgent', { path: { agentId: 'agt_x' } });
// @ts-expect-error there is no such operation
await candor.call('getAgents');
// @ts-expect-error the path is required
await candor.call('getAgent');
// @ts-expect-error no such field
await candor.call('createRun', { path: { agentId: 'agt_x' }, body: { inputs: 1 } });
// @ts-expect-error a read takes no idempotency key
await candor.call('getHealth', { idempotencyKey: 'x' });
// @ts-expect-error not a status
candor.items('listRuns', { query: { status: 'dead' } });
export const isProblem = (error: unknown) => error instanceof ProblemError && error.code === 'not_found';
`,
    );
    expect(() => tsc(...strict, 'use.ts')).not.toThrow();
  }, 60_000);

  it('is loaded by its name', () => {
    const program = `import { Candor, OPERATIONS } from 'candor-client';
process.stdout.write(typeof Candor + Object.keys(OPERATIONS).length);`;
    writeFileSync(path.join(folder, 'use.mjs'), program);
    const said = execFileSync(process.execPath, ['use.mjs'], { cwd: folder, encoding: 'utf8' });
    expect(said).toMatch(/^function\d\d+$/);
  });
});
