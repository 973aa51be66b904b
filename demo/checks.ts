/** What the demo claims, checked against the world and not against Candor: counts made anew, processes looked up. */
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';

export class Checks {
  private failures = 0;

  /** Prints the claim with its verdict; a false one makes the demo fail in the end. */
  that(holds: boolean, claim: string, found?: unknown): void {
    process.stdout.write(
      `  ${holds ? '✓' : '✗'} ${claim}${holds || found === undefined ? '' : ` (found: ${JSON.stringify(found)})`}\n`,
    );
    if (!holds) this.failures++;
  }

  get failed(): number {
    return this.failures;
  }
}

export const newNonce = (): string => randomBytes(8).toString('hex');

const LEFT_OUT = ['.git', 'node_modules', '.candor', 'dist', 'cdk.out', '.tools'];

/** The same counts as the digest's, by other means: one recursive listing and `git rev-list` instead of a walk and `git log`. */
export function recount(repository: string): Readonly<Record<string, number>> {
  const unique = readdirSync(repository, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => path.relative(repository, path.join(entry.parentPath, entry.name)))
    .filter((file) => !file.split(path.sep).some((part) => LEFT_OUT.includes(part)));
  const sources = unique.filter((file) => file.endsWith('.ts'));
  const lines = sources.reduce((sum, file) => sum + newlines(path.join(repository, file)), 0);
  return {
    files: unique.length,
    'TypeScript files': sources.length,
    'TypeScript lines': lines,
    commits: commitCount(repository),
  };
}

function newlines(file: string): number {
  let count = 0;
  for (const byte of readFileSync(file)) if (byte === 10) count++;
  return count;
}

function commitCount(repository: string): number {
  try {
    return Number(
      execFileSync('git', ['-C', repository, 'rev-list', '--count', 'HEAD'], { stdio: ['ignore', 'pipe', 'ignore'] }),
    );
  } catch {
    return 0;
  }
}

/** The number that the digest gives for a row of its table. */
export function countIn(digest: string, what: string): number | undefined {
  const found = digest.split('\n').find((line) => line.startsWith(`| ${what} |`));
  return found === undefined ? undefined : Number(found.split('|')[2]);
}
