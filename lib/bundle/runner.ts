/** The runner and its shim as one archive, under its SHA-256: what VMs fetch, and check before they run it. */
import { createHash } from 'node:crypto';
import path from 'node:path';
import { buildSync } from 'esbuild';
import { BUILD, ROOT, writeOnce } from './paths.ts';
import { tarGz } from './tar.ts';

export interface Archive {
  readonly file: string;
  readonly sha256: string;
}

let bundled: Archive | undefined;

/** Bundles it, once per process. */
export function bundleRunner(): Archive {
  bundled ??= bundle();
  return bundled;
}

function bundle(): Archive {
  const { outputFiles } = buildSync({
    absWorkingDir: ROOT,
    // The runner finds the shim beside itself, under its own ending.
    entryPoints: { main: 'runner/main.ts', shim: 'runner/shim.ts' },
    outdir: 'runner',
    outExtension: { '.js': '.mjs' },
    bundle: true,
    platform: 'node',
    target: 'node24',
    format: 'esm',
    legalComments: 'none',
    write: false,
    logLevel: 'error',
  });
  const entries = outputFiles
    .map(({ path: file, contents }) => ({ name: `runner/${path.basename(file)}`, content: Buffer.from(contents) }))
    .sort((one, other) => one.name.localeCompare(other.name));
  const archive = tarGz(entries);
  const sha256 = createHash('sha256').update(archive).digest('hex');
  const file = path.join(BUILD, `runner-${sha256.slice(0, 16)}.tgz`);
  writeOnce(file, archive);
  return { file, sha256 };
}
