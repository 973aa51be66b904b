/**
 * The Lambdas' code: one CommonJS file each, with everything in it. CommonJS starts faster than modules with the AWS SDK,
 * and an SDK of our own version does not change under us when Lambda's does.
 */
import { createHash } from 'node:crypto';
import { existsSync, globSync, mkdirSync, readFileSync, renameSync, rmSync, statSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { type BuildOptions, buildSync } from 'esbuild';
import { BUILD, ROOT } from './paths.ts';

/** The functions' names: those of the handlers' files. */
export const lambdaNames = (): readonly string[] =>
  globSync('*.ts', { cwd: path.join(ROOT, 'lambdas') })
    .filter((file) => readFileSync(path.join(ROOT, 'lambdas', file), 'utf8').includes('\nexport const handler ='))
    .map((file) => path.basename(file, '.ts'))
    .sort();

export interface LambdaBundles {
  /** The folder to deploy; the handler in it is `index.handler`. */
  readonly folderOf: (name: string) => string;
}

let bundled: LambdaBundles | undefined;

/** Bundles all of them, unless these very sources have been bundled before. */
export function bundleLambdas(): LambdaBundles {
  bundled ??= bundlesIn(path.join(BUILD, 'lambdas', fingerprint()));
  return bundled;
}

/** Of all that can be in a bundle, and of how it is made. */
function fingerprint(): string {
  const hash = createHash('sha256');
  const sources = ['lambdas', 'adapters', 'core'].flatMap((folder) => globSync(`${folder}/**/*.ts`, { cwd: ROOT }));
  for (const file of [...sources, 'package.json', 'package-lock.json'].sort())
    hash.update(file).update(readFileSync(path.join(ROOT, file)));
  return hash
    .update(readFileSync(fileURLToPath(import.meta.url)))
    .digest('hex')
    .slice(0, 16);
}

function bundlesIn(folder: string): LambdaBundles {
  const lock = `${folder}.lock`;
  mkdirSync(path.dirname(folder), { recursive: true });
  while (!existsSync(folder)) {
    if (!takeLock(lock)) continue;
    try {
      if (!existsSync(folder)) build(folder);
    } finally {
      rmSync(lock, { recursive: true, force: true });
    }
  }
  return { folderOf: (name) => path.join(folder, name) };
}

const LOCK_MS = 120_000;

/** Waits a little where another process is at it. A lock that nobody gave back is taken away after a while. */
function takeLock(lock: string): boolean {
  try {
    mkdirSync(lock);
    return true;
  } catch {
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 200);
    const heldMs = Date.now() - (statSync(lock, { throwIfNoEntry: false })?.mtimeMs ?? Date.now());
    if (heldMs > LOCK_MS) rmSync(lock, { recursive: true, force: true });
    return false;
  }
}

/** How every function is bundled. */
export const bundleOptions = {
  absWorkingDir: ROOT,
  bundle: true,
  minify: true,
  platform: 'node',
  target: 'node24',
  format: 'cjs',
  // Prefers a package's module form, which can be left out in parts, to its CommonJS form, which cannot.
  mainFields: ['module', 'main'],
  legalComments: 'none',
  logLevel: 'error',
} satisfies BuildOptions;

/** The folder is there whole or not at all. */
function build(folder: string): void {
  const partial = `${folder}.${process.pid}`;
  buildSync({
    ...bundleOptions,
    entryPoints: Object.fromEntries(lambdaNames().map((name) => [`${name}/index`, `lambdas/${name}.ts`])),
    outdir: partial,
  });
  renameSync(partial, folder);
}
