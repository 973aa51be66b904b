/**
 * Spin, which searches a model's states exhaustively: the one on the PATH if it is new enough, else Debian's package,
 * unpacked into the ignored folder `.tools/` and never installed. And one search with it.
 */
import { execFile, spawnSync } from 'node:child_process';
import { existsSync, globSync, mkdirSync, mkdtempSync, renameSync, rmSync } from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import { ROOT } from '../../lib/bundle/paths.ts';

const TOOLS = path.join(ROOT, '.tools');
const VERSION_LEAST = 6.5;
const MEMORY_MIB_MAX = 4096;
/** The deepest path that is met is a few hundred steps long. */
const DEPTH_MAX = 100_000;
const SEARCH_MS_MAX = 15 * 60_000;

const call = promisify(execFile);

/** What is missing on this machine, and what to do about it. */
export class Unequipped extends Error {
  constructor(what: string, remedy: string) {
    super(`${what}. ${remedy}`);
    this.name = 'Unequipped';
  }
}

function versionOf(spin: string): string | undefined {
  const { stdout } = spawnSync(spin, ['-V'], { encoding: 'utf8' });
  return /Spin Version (\S+)/.exec(stdout ?? '')?.[1];
}

/** @throws Unequipped */
export function findSpin(): { readonly path: string; readonly version: string } {
  const installed = versionOf('spin');
  if (installed !== undefined && Number.parseFloat(installed) >= VERSION_LEAST)
    return { path: 'spin', version: installed };
  const unpacked = path.join(TOOLS, 'spin');
  if (!existsSync(unpacked)) unpack(unpacked);
  const spin = path.join(unpacked, 'usr/bin/spin');
  const version = versionOf(spin);
  if (version === undefined)
    throw new Unequipped(`${spin} does not run here`, 'Delete that folder, or put spin ≥ 6.5 on the PATH.');
  return { path: spin, version };
}

function unpack(folder: string): void {
  const remedy = 'Put spin ≥ 6.5 on the PATH (Debian: apt-get install spin; source: github.com/nimble-code/Spin).';
  mkdirSync(TOOLS, { recursive: true });
  const partial = mkdtempSync(path.join(TOOLS, 'spin-'));
  try {
    const got = spawnSync('apt-get', ['download', '-qq', 'spin'], { cwd: partial, encoding: 'utf8' });
    if (got.error !== undefined) throw new Unequipped('There is neither spin ≥ 6.5 nor apt-get here', remedy);
    const [deb] = globSync('spin_*.deb', { cwd: partial });
    if (got.status !== 0 || deb === undefined)
      throw new Unequipped(
        `apt-get cannot download spin: ${(got.stderr ?? '').trim()}`,
        `Run apt-get update first, or: ${remedy}`,
      );
    const done = spawnSync('dpkg-deb', ['-x', deb, '.'], { cwd: partial, encoding: 'utf8' });
    if (done.status !== 0) throw new Unequipped(`dpkg-deb cannot unpack ${deb}: ${done.stderr ?? ''}`, remedy);
    renameSync(partial, folder);
  } finally {
    rmSync(partial, { recursive: true, force: true });
  }
}

/** @throws Unequipped */
export function requireCompiler(): void {
  if (spawnSync('cc', ['--version']).status !== 0)
    throw new Unequipped('There is no C compiler cc here', 'Install one (Debian: apt-get install gcc libc6-dev).');
}

export interface Search {
  /** Every state has been visited, or an error was met first. */
  readonly isExhausted: boolean;
  /** The assertion that did not hold, or whatever else is wrong. */
  readonly error: string | undefined;
  readonly states: number;
  readonly depth: number;
  readonly seconds: number;
  /** Assertions that no path comes to: they prove nothing. */
  readonly neverReached: readonly string[];
  readonly report: string;
}

/** Searches one variant of a model in a folder of its own, to its end or to the first error. */
export async function search(spin: string, file: string, defines: readonly string[], cwd: string): Promise<Search> {
  mkdirSync(cwd, { recursive: true });
  const began = performance.now();
  await call(spin, ['-Pcc -E -x c', '-a', ...defines, file], { cwd });
  // Most of the time goes into the compiler: what -O2 gains in the search it loses there.
  const flags = ['-O1', '-w', '-DSAFETY', `-DMEMLIM=${MEMORY_MIB_MAX}`, '-DVECTORSZ=1024'];
  await call('cc', [...flags, '-o', 'pan', 'pan.c'], { cwd });
  const limits = { maxBuffer: 1 << 26, timeout: SEARCH_MS_MAX, killSignal: 'SIGINT' } as const;
  // It ends with an error where it is cut short, and has said so.
  const { stdout } = await call(path.join(cwd, 'pan'), [`-m${DEPTH_MAX}`], { cwd, ...limits }).catch(
    (error: { readonly stdout?: string }) => {
      if (error.stdout?.includes('Spin Version') === true) return { stdout: error.stdout };
      throw error;
    },
  );
  return { ...readReport(stdout), seconds: (performance.now() - began) / 1000 };
}

/** What pan says at its end. Pure. */
export function readReport(report: string): Omit<Search, 'seconds'> {
  const number = (pattern: RegExp) => Number(pattern.exec(report)?.[1] ?? Number.NaN);
  const errors = number(/errors: (\d+)/);
  const wrong = /^pan:\d+: (.+?)(?: \(at depth \d+\))?$/m.exec(report)?.[1];
  const cut = /max search depth too small|reached -DMEMLIM bound|out of memory|Search not completed/.exec(report)?.[0];
  return {
    // A search that meets an error says "Search not completed" too.
    isExhausted: errors === 0 && cut === undefined && !report.includes('Bit statespace search'),
    error: errors > 0 ? (wrong ?? 'an error without a name') : undefined,
    states: number(/(\d+) states, stored/),
    depth: number(/depth reached (\d+)/),
    neverReached: [...report.matchAll(/^\t(\S+), state \d+, "(assert\(.*\))"$/gm)].map(
      ([, at, what]) => `${at} ${what}`,
    ),
    report,
  };
}
