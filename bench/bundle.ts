/**
 * Each Lambda's bundle beside one of nothing but the AWS clients in it, made and loaded the same way: bytes, and the time
 * to load it in a fresh process. The two are loaded in turn, so that what slows the machine slows both.
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { build } from 'esbuild';
import { bundleOptions, lambdaNames } from '../lib/bundle/lambdas.ts';
import { ROOT } from '../lib/bundle/paths.ts';
import { median, milliseconds } from './stats.ts';

/** The commands that each client is used with, so that a bare bundle holds as much of it as ours does. */
const COMMANDS = /new (\w+Command)\(/g;

const LOAD =
  'const from = process.hrtime.bigint(); require(process.argv[1]); process.stdout.write(String(process.hrtime.bigint() - from));';

const loadMs = (file: string): number => Number(execFileSync('node', ['-e', LOAD, file], { encoding: 'utf8' })) / 1e6;

interface Made {
  readonly file: string;
  readonly bytes: number;
  readonly inputs: readonly string[];
}

async function make(
  folder: string,
  name: string,
  entry: { readonly file: string } | { readonly code: string },
): Promise<Made> {
  const file = path.join(folder, `${name}.cjs`);
  const { metafile } = await build({
    ...bundleOptions,
    ...('file' in entry ? { entryPoints: [entry.file] } : { stdin: { contents: entry.code, resolveDir: ROOT } }),
    outfile: file,
    metafile: true,
  });
  const [output] = Object.values(metafile.outputs);
  const inputs = Object.entries(output?.inputs ?? {}).filter(([, { bytesInOutput }]) => bytesInOutput > 0);
  return { file, bytes: statSync(file).size, inputs: inputs.map(([input]) => input) };
}

/** The clients in a bundle, each with the commands that our part of the bundle makes. */
async function bareCode(made: Made): Promise<string> {
  const clients = [...new Set(made.inputs.flatMap((file) => /@aws-sdk\/client-([a-z0-9-]+)\//.exec(file)?.[1] ?? []))];
  const ours = made.inputs.filter((file) => !file.includes('node_modules') && file.endsWith('.ts'));
  const wanted = new Set(
    ours.flatMap((file) =>
      [...readFileSync(path.join(ROOT, file), 'utf8').matchAll(COMMANDS)].map((match) => match[1] ?? ''),
    ),
  );
  const parts = await Promise.all(
    clients.map(async (client, index) => {
      const known = Object.keys((await import(`@aws-sdk/client-${client}`)) as object);
      const base = known.find((name) => name.endsWith('Client') && name !== 'Client' && !name.startsWith('__')) ?? '';
      const names = [base, ...known.filter((name) => wanted.has(name))];
      const renamed = names.map((name) => `${name} as ${name}${index}`).join(', ');
      const kept = names.map((name) => `${name}${index}`).join(', ');
      return { text: `import { ${renamed} } from '@aws-sdk/client-${client}';`, kept, made: `new ${base}${index}({})` };
    }),
  );
  const { text, kept } = {
    text: parts.map((part) => part.text).join('\n'),
    kept: parts.map((part) => part.kept).join(', '),
  };
  return `${text}\nmodule.exports = [${kept}, ${parts.map((part) => part.made).join(', ')}];`;
}

export async function benchBundle(args: readonly string[]): Promise<void> {
  const { values } = parseArgs({ args: [...args], options: { loads: { type: 'string', default: '15' } } });
  const loads = Number(values.loads);
  const folder = mkdtempSync(path.join(os.tmpdir(), 'candor-bundles-'));
  try {
    process.stdout.write(
      `${'function'.padEnd(16)} ${'bytes'.padStart(9)} ${'bare'.padStart(9)} ratio   load        bare        ratio\n`,
    );
    for (const name of lambdaNames()) {
      const ours = await make(folder, name, { file: path.join(ROOT, 'lambdas', `${name}.ts`) });
      const bare = await make(folder, `${name}-bare`, { code: await bareCode(ours) });
      const times = { ours: [] as number[], bare: [] as number[] };
      for (let load = 0; load < loads; load++) {
        times.ours.push(loadMs(ours.file));
        times.bare.push(loadMs(bare.file));
      }
      const [oursMs, bareMs] = [median(times.ours), median(times.bare)];
      const bytes = `${String(ours.bytes).padStart(9)} ${String(bare.bytes).padStart(9)} ${(ours.bytes / bare.bytes).toFixed(2)}`;
      const time = `${milliseconds(oursMs).padEnd(11)} ${milliseconds(bareMs).padEnd(11)} ${(oursMs / bareMs).toFixed(2)}`;
      process.stdout.write(`${name.padEnd(16)} ${bytes}    ${time}\n`);
    }
    process.stdout.write(`load: median of ${loads} fresh processes each, in turn\n`);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
