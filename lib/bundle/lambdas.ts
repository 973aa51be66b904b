/**
 * The Lambdas' code: one CommonJS file each, with everything in it. CommonJS starts faster than modules with the AWS SDK,
 * and an SDK of our own version does not change under us when Lambda's does.
 */
import { globSync } from 'node:fs';
import path from 'node:path';
import { buildSync, type Metafile } from 'esbuild';
import { BUILD, ROOT, writeOnce } from './paths.ts';

/** Files in `lambdas/` that are no handlers. */
const SUPPORT: readonly string[] = ['environment', 'log', 'wrap'];

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
  bundled ??= bundle();
  return bundled;
}

function bundle(): LambdaBundles {
  const { metafile, outputFiles } = buildSync({
    absWorkingDir: ROOT,
    entryPoints: Object.fromEntries(lambdaNames().map((name) => [name, `lambdas/${name}.ts`])),
    outdir: 'lambdas',
    bundle: true,
    minify: true,
    platform: 'node',
    target: 'node24',
    format: 'cjs',
    // Prefers a package's module form, which can be left out in parts, to its CommonJS form, which cannot.
    mainFields: ['module', 'main'],
    legalComments: 'none',
    metafile: true,
    write: false,
    logLevel: 'error',
  });
  const folders = new Map(
    outputFiles.map(({ path: file, contents, hash }) => {
      const name = path.basename(file, '.js');
      const folder = path.join(BUILD, 'lambdas', name, hash.replaceAll(/[^\w]/g, '_'));
      writeOnce(path.join(folder, 'index.js'), contents);
      return [name, folder] as const;
    }),
  );
  const folderOf = (name: string): string => {
    const folder = folders.get(name);
    if (folder === undefined) throw new Error(`there is no lambdas/${name}.ts`);
    return folder;
  };
  return { folderOf, metafile };
}
