/** What a machine can see of this house's habits (CONTRIBUTING.md). Part of `npm run check`. */
import { globSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { AlarmConfig } from '../config/alarms.ts';
import { alarmCatalogue, COMPOSITES } from '../lib/ops/catalogue.ts';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const FOLDERS = [
  'adapters',
  'bench',
  'bin',
  'cli',
  'client/src',
  'config',
  'core',
  'demo',
  'lambdas',
  'lib',
  'runner',
  'scripts',
  'test',
];
const read = (file: string) => readFileSync(path.join(ROOT, file), 'utf8');
const sources = FOLDERS.flatMap((folder) => globSync(`${folder}/**/*.{ts,mjs}`, { cwd: ROOT })).sort();
const below = (...folders: string[]) =>
  sources.filter((file) => folders.some((folder) => file.startsWith(`${folder}/`)));
const product = below('adapters', 'cli', 'client', 'core', 'lambdas', 'runner', 'lib', 'bin', 'config');

/** Code without comments and the texts of strings, so that a word in a sentence is not taken for code. */
const codeOf = (file: string) =>
  read(file)
    .replaceAll(/\/\*[\s\S]*?\*\//g, '')
    .replaceAll(/(^|[^:])\/\/.*$/gm, '$1');

/** Every module that a file imports, as a path from the root, or as the package's name. */
function importsOf(file: string): readonly string[] {
  const statements = /(?:^|\n)\s*(?:import|export)\b[^'";]*?\bfrom\s*'([^']+)'|\bimport\s*\(?\s*'([^']+)'/g;
  const found = [...codeOf(file).matchAll(statements)].map((match) => match[1] ?? match[2] ?? '');
  return found.map((name) => (name.startsWith('.') ? path.posix.join(path.posix.dirname(file), name) : name));
}

function offenders(files: readonly string[], allowed: (imported: string, file: string) => boolean): readonly string[] {
  return files.flatMap((file) =>
    importsOf(file)
      .filter((imported) => !allowed(imported, file))
      .map((imported) => `${file} imports ${imported}`),
  );
}

const inside = (imported: string, ...folders: string[]) => folders.some((folder) => imported.startsWith(`${folder}/`));

describe('arrows point one way', () => {
  it('core imports nothing of the world: no SDK, no adapter, only itself, pure libraries and hashing', () => {
    const pure = ['zod', 'zod/mini', 'node:crypto'];
    expect(offenders(below('core'), (imported) => inside(imported, 'core') || pure.includes(imported))).toEqual([]);
  });

  it('the contract imports nothing but itself', () => {
    expect(
      offenders(
        below('core/contract'),
        (imported) => inside(imported, 'core/contract') || imported === 'zod' || imported === 'zod/mini',
      ),
    ).toEqual([]);
  });

  it('adapters import core and each other, never a program', () => {
    const programs = ['cli', 'lambdas', 'runner', 'console', 'lib', 'bin', 'demo', 'bench', 'test'];
    expect(offenders(below('adapters'), (imported) => !inside(imported, ...programs))).toEqual([]);
  });

  it('the deployment imports configuration, adapters and core, and no program: it bundles those by their paths', () => {
    const programs = ['lambdas', 'cli', 'runner', 'console', 'demo', 'bench', 'test'];
    expect(offenders(below('lib', 'bin'), (imported) => !inside(imported, ...programs))).toEqual([]);
    expect(offenders(below('config'), (imported) => inside(imported, 'config', 'core') || imported === 'zod')).toEqual(
      [],
    );
  });

  it('lambdas import adapters and core', () => {
    expect(
      offenders(below('lambdas'), (imported) => !inside(imported, 'cli', 'runner', 'console', 'lib', 'bin', 'test')),
    ).toEqual([]);
  });

  it('the client knows the server by its document alone, and depends on nothing', () => {
    expect(offenders(below('client'), (imported) => inside(imported, 'client/src'))).toEqual([]);
  });

  it('the runner and the CLI know the server only by the contract', () => {
    const clients = below('runner', 'cli').filter((file) => !file.startsWith('cli/dev/'));
    const own = (imported: string, file: string) => inside(imported, file.split('/')[0] ?? '');
    const external = (imported: string) => !/^(adapters|core|lambdas|test|runner|cli)\//.test(imported);
    expect(
      offenders(
        clients,
        (imported, file) => own(imported, file) || external(imported) || inside(imported, 'core/contract'),
      ),
    ).toEqual([]);
  });
});

describe('the core is pure', () => {
  it('takes time, ids and waiting from ports', () => {
    const banned =
      /\bDate\.now\b|new Date\(\)|\bMath\.random\b|\bset(Timeout|Interval|Immediate)\b|\brandomUUID\b|\brandomBytes\b|\bprocess\./;
    expect(below('core').filter((file) => banned.test(codeOf(file)))).toEqual([]);
  });
});

describe('the environment', () => {
  it('is read in one file per program', () => {
    const readers = [
      'cli/environment.ts',
      'cli/candor.mjs',
      'lambdas/environment.ts',
      'runner/settings.ts',
      'runner/shim.ts',
    ];
    expect(product.filter((file) => codeOf(file).includes('process.env') && !readers.includes(file))).toEqual([]);
  });
});

describe('lambdas', () => {
  it('are thin, and the exported handler is the wrapped one', () => {
    const support = ['environment', 'executionEvent', 'log', 'wrap'].map((name) => `lambdas/${name}.ts`);
    const handlers = below('lambdas').filter((file) => !support.includes(file) && !inside(file, 'lambdas/ports'));
    expect(handlers.length).toBeGreaterThan(5);
    expect(handlers.filter((file) => !/export const handler = (wrap|middy)\b/.test(codeOf(file)))).toEqual([]);
    expect(handlers.filter((file) => codeOf(file).split('\n').length > 60)).toEqual([]);
  });
});

describe('guards', () => {
  it('each has a literal name of the form useCase.whatItProtects', () => {
    const calls = below('core', 'adapters').flatMap((file) =>
      [...codeOf(file).matchAll(/\bguard\(\s*([^,]+),/g)].map((match) => match[1] ?? ''),
    );
    const names = calls.filter((call) => !call.startsWith('name:'));
    expect(names.filter((name) => !/^'[a-z]+\.[a-zA-Z]+'$/.test(name))).toEqual([]);
    expect(new Set(names).size).toBeGreaterThan(20);
  });
});

describe('logs', () => {
  it('carry no secret-like key', () => {
    const call = /\blog(?:ger)?\.(?:info|warn|error)\(([^;]*)\)/g;
    const secret = /\b(token|secret|password|authorization|signingKey|registrationKey|apiKey)\b\s*[:,}]/i;
    expect(
      product.filter((file) => [...codeOf(file).matchAll(call)].some((match) => secret.test(match[1] ?? ''))),
    ).toEqual([]);
  });

  it('carry no fact under a name that the logger keeps for itself, and drops', () => {
    const call = /\blog(?:ger)?\.(?:info|warn|error)\('[\w.]+',\s*\{([^;]*)\}/g;
    const kept = /(?:^|[{,]\s*)(?:message|level|timestamp|service|sampling_rate)\b/;
    expect(
      product.filter((file) => [...codeOf(file).matchAll(call)].some((match) => kept.test((match[1] ?? '').trim()))),
    ).toEqual([]);
  });
});

describe('runbooks', () => {
  const catalogue = alarmCatalogue(AlarmConfig.parse(undefined).thresholds);
  const composites = Object.entries(COMPOSITES).map(([name, texts]) => ({ name, severity: name, ...texts }));
  const alarms = [...catalogue, ...composites];
  const HEADINGS = ['Meaning', 'Impact', 'Verify', 'Mitigate and roll back', 'Escalate', 'When it clears'];
  const words = (text: string) => text.replaceAll(/\s+/g, ' ').trim();
  const sections = (text: string) =>
    text
      .split('\n## ')
      .slice(1)
      .map((section) => [section.split('\n', 1)[0] ?? '', words(section.slice(section.indexOf('\n')))] as const);

  it('are there for every alarm, and for no other', () => {
    const pages = globSync('docs/runbooks/*.md', { cwd: ROOT }).map((file) => path.basename(file, '.md'));
    expect(pages.sort()).toEqual([...alarms.map(({ name }) => name), 'README'].sort());
    const index = read('docs/runbooks/README.md');
    expect(alarms.filter(({ name }) => !index.includes(`(${name}.md)`)).map(({ name }) => name)).toEqual([]);
  });

  it('have every heading, with something under it', () => {
    for (const { name, severity } of alarms) {
      const text = read(`docs/runbooks/${name}.md`);
      expect(text.startsWith(`# ${name}\n\nSeverity: ${severity}.\n`), name).toBe(true);
      expect([name, sections(text).map(([heading]) => heading)]).toEqual([name, HEADINGS]);
      expect([name, sections(text).filter(([, body]) => body.length < 15)]).toEqual([name, []]);
    }
  });

  it('say what the catalogue says: impact, first command, when it clears', () => {
    for (const { name, impact, firstCommand, clears } of alarms) {
      const said = Object.fromEntries(sections(read(`docs/runbooks/${name}.md`)));
      expect([name, said.Impact]).toEqual([name, impact]);
      expect([name, said['When it clears']?.toLowerCase()]).toEqual([name, `${clears}.`.toLowerCase()]);
      // The dead letters' commands find the installation by the variable of the same name.
      const pasted = firstCommand.replace(' --installation {id}', '').replaceAll('{id}', '$CANDOR_INSTALLATION');
      expect(said.Verify).toContain(words(pasted));
    }
  });
});

describe('files', () => {
  it('have at most 400 lines', () => {
    const made = ['client/src/contract.ts'];
    expect(product.filter((file) => read(file).split('\n').length > 401 && !made.includes(file))).toEqual([]);
  });

  it('name no machine, host or person', () => {
    const places = /\/work\/main|\/root\/|registry\.npmjs/;
    const docs = globSync(['*.md', 'docs/**/*.md', '.ci/*'], { cwd: ROOT });
    expect([...sources, ...docs].filter((file) => file !== 'test/tidy.test.ts' && places.test(read(file)))).toEqual([]);
  });

  it('leave nothing for later without a reason, and skip no test', () => {
    const banned = /\b(TODO|FIXME|XXX)\b|\b(it|describe|test)\.(only|skip|todo)\(/;
    expect(sources.filter((file) => file !== 'test/tidy.test.ts' && banned.test(read(file)))).toEqual([]);
  });
});

describe('package.json', () => {
  it('pins every dependency to one version and lists the install scripts that may run', () => {
    const manifest = JSON.parse(read('package.json')) as Record<string, Record<string, unknown>>;
    const pins = ['dependencies', 'devDependencies', 'optionalDependencies'].flatMap((kind) =>
      Object.entries(manifest[kind] ?? {}),
    );
    expect(pins.filter(([, version]) => !/^\d+\.\d+\.\d+$/.test(String(version)))).toEqual([]);
    expect(Object.keys(manifest.allowScripts ?? {}).sort()).toEqual(['esbuild', 'node']);
  });
});
