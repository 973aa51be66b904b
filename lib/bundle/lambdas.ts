/**
 * The Lambdas' code: one CommonJS file each, with everything in it. CommonJS starts faster than modules with the AWS SDK,
 * and an SDK of our own version does not change under us when Lambda's does.
 */
import { globSync, rmSync } from 'node:fs';
import path from 'node:path';
import { buildSync, type Metafile } from 'esbuild';
import { BUILD, ROOT } from './paths.ts';

/** Files in `lambdas/` that are no handlers. */
const SUPPORT: readonly string[] = ['environment', 'ports', 'wrap'];

/** The functions' names: those of the handlers' files. */
export const lambdaNames = (): readonly string[] =>
  globSync('*.ts', { cwd: path.join(ROOT, 'lambdas') })
    .map((file) => path.basename(file, '.ts'))
    .filter((name) => !SUPPORT.includes(name))
    .sort();

export interface LambdaBundles {
  /** The folder to deploy; the handler in it is `index.handler`. */
  readonly folderOf: (name: string) => string;
  readonly metafile: Metafile;
}

let bundled: LambdaBundles | undefined;

/** Bundles all of them, once per process. */
export function bundleLambdas(): LambdaBundles {
  bundled ??= bundle(path.join(BUILD, 'lambdas'));
  return bundled;
}

function bundle(outdir: string): LambdaBundles {
  rmSync(outdir, { recursive: true, force: true });
  const { metafile } = buildSync({
    absWorkingDir: ROOT,
    entryPoints: Object.fromEntries(lambdaNames().map((name) => [`${name}/index`, `lambdas/${name}.ts`])),
    outdir,
    bundle: true,
    minify: true,
    platform: 'node',
    target: 'node24',
    format: 'cjs',
    // Prefers a package's module form, which can be left out in parts, to its CommonJS form, which cannot.
    mainFields: ['module', 'main'],
    legalComments: 'none',
    metafile: true,
    logLevel: 'error',
  });
  return { folderOf: (name) => path.join(outdir, name), metafile };
}
