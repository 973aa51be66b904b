/**
 * The demo's agent: reads a repository (its files and its history) and writes a digest in Markdown to CANDOR_OUTPUT.
 * It knows nothing of Candor but what its process finds: the input on stdin, and the path for the output.
 */
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';

interface Input {
  readonly repository: string;
  readonly nonce: string;
}

interface Source {
  readonly file: string;
  readonly lines: number;
}

const LEFT_OUT = new Set(['.git', 'node_modules', '.candor', 'dist', 'cdk.out', '.tools']);

function filesBelow(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true })
    .filter((entry) => !LEFT_OUT.has(entry.name))
    .flatMap((entry) => {
      const full = path.join(folder, entry.name);
      return entry.isDirectory() ? filesBelow(full) : entry.isFile() ? [full] : [];
    });
}

const git = (repository: string, ...args: string[]): string =>
  execFileSync('git', ['-C', repository, ...args], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });

/** One subject line per commit; nothing where there is no history to read. */
function history(repository: string): readonly string[] {
  try {
    return git(repository, 'log', '--format=%h %s').split('\n').filter(Boolean);
  } catch {
    console.error('no git history is readable here; the digest says 0 commits');
    return [];
  }
}

const countLines = (file: string): number => readFileSync(file, 'latin1').split('\n').length - 1;

const input = JSON.parse(readFileSync(0, 'utf8')) as Input;
console.log(`reading ${input.repository}`);
const files = filesBelow(input.repository);
const sources: Source[] = files
  .filter((file) => file.endsWith('.ts'))
  .map((file) => ({ file: path.relative(input.repository, file), lines: countLines(file) }))
  .sort((left, right) => right.lines - left.lines);
const commits = history(input.repository);
console.log(`${files.length} files, ${sources.length} of them TypeScript, ${commits.length} commits`);

const byFolder = new Map<string, number>();
for (const source of sources) {
  const folder = source.file.includes(path.sep) ? (source.file.split(path.sep)[0] ?? '') : '(top)';
  byFolder.set(folder, (byFolder.get(folder) ?? 0) + source.lines);
}
const digest = [
  `# Digest of ${path.basename(input.repository)}`,
  '',
  `Asked for with nonce \`${input.nonce}\`.`,
  '',
  '| what | count |',
  '|---|---|',
  `| files | ${files.length} |`,
  `| TypeScript files | ${sources.length} |`,
  `| TypeScript lines | ${sources.reduce((sum, source) => sum + source.lines, 0)} |`,
  `| commits | ${commits.length} |`,
  '',
  '## Lines by folder',
  '',
  ...[...byFolder].sort((left, right) => right[1] - left[1]).map(([folder, lines]) => `- ${folder}: ${lines}`),
  '',
  '## Latest commits',
  '',
  ...commits.slice(0, 5).map((commit) => `- ${commit}`),
  '',
].join('\n');
writeFileSync(process.env.CANDOR_OUTPUT ?? '/dev/stdout', digest);
console.log('digest written');
