/**
 * The files that a run has left: those in CANDOR_ARTIFACTS, and those in its working folder that the agent declares by
 * globs. Looked at once no process of the run is left, so that nothing changes meanwhile.
 */
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { globMatcher, normalGlob } from '../core/contract/glob.ts';
import type { Artifact } from '../core/contract/runner.ts';

export interface ArtifactLimits {
  readonly files: number;
  /** Of all of them together. */
  readonly bytes: number;
  /** Folder entries that are looked at. */
  readonly entries: number;
}

/** Not imported from the contract, whose schemas cost more memory than all of the runner. */
const ARTIFACTS_MAX = 100;

export const ARTIFACT_LIMITS: ArtifactLimits = { files: ARTIFACTS_MAX, bytes: 1024 ** 3, entries: 100_000 };
const PATH_CHARACTERS_MAX = 1024;
const REMARKS_MAX = 20;

export interface ArtifactSources {
  /** CANDOR_ARTIFACTS: every file in it counts. */
  readonly folder: string;
  readonly workingFolder: string;
  readonly globs: readonly string[];
}

export interface Artifacts {
  readonly artifacts: Artifact[];
  /** What was left out, and why: for the run's log. */
  readonly remarks: readonly string[];
}

/** Never throws: what cannot be read is left out, with a remark. */
export async function collectArtifacts(sources: ArtifactSources, limits = ARTIFACT_LIMITS): Promise<Artifacts> {
  const remarks: string[] = [];
  const artifacts: Artifact[] = [];
  const leaveOut = (name: string, why: string) =>
    remarks.push(`The artifact ${JSON.stringify(name)} was left out: ${why}.`);
  let bytes = 0;
  for (const [name, candidate] of find(sources, limits, remarks)) {
    if (artifacts.length === limits.files) {
      leaveOut(name, `a run has at most ${limits.files} artifacts`);
      continue;
    }
    const read = await readCandidate(name, candidate, limits.bytes - bytes);
    if ('why' in read) {
      leaveOut(name, read.why);
      continue;
    }
    artifacts.push(read);
    bytes += read.bytes;
  }
  if (remarks.length <= REMARKS_MAX) return { artifacts, remarks };
  const more = remarks.length - REMARKS_MAX;
  return { artifacts, remarks: [...remarks.slice(0, REMARKS_MAX), `${more} more remarks on artifacts are not shown.`] };
}

interface Candidate {
  readonly root: string;
  readonly file: string;
}

/** By name, so that the same files are chosen every time. A file in CANDOR_ARTIFACTS stands before one of the same name. */
function find(sources: ArtifactSources, limits: ArtifactLimits, remarks: string[]): [string, Candidate][] {
  const found = new Map<string, Candidate>();
  const budget = { entries: limits.entries };
  for (const name of walk(sources.folder, '', budget)) {
    found.set(name, { root: sources.folder, file: path.join(sources.folder, name) });
  }
  for (const glob of sources.globs) {
    const pattern = normalGlob(glob);
    if (path.posix.isAbsolute(glob) || pattern.split('/').includes('..')) {
      remarks.push(`The artifacts ${JSON.stringify(glob)} were left out: they are outside the working folder.`);
      continue;
    }
    const matches = globMatcher(pattern);
    let hits = 0;
    for (const name of walk(sources.workingFolder, literalFolder(pattern), budget)) {
      if (!matches(name)) continue;
      hits += 1;
      if (!found.has(name))
        found.set(name, { root: sources.workingFolder, file: path.join(sources.workingFolder, name) });
    }
    if (hits === 0) remarks.push(`No file matches the artifacts ${JSON.stringify(glob)}.`);
  }
  if (budget.entries < 0) remarks.push(`Artifacts were looked for in the first ${limits.entries} files only.`);
  return [...found].sort(([left], [right]) => (left < right ? -1 : 1));
}

/** Names, relative to `root`, of all that is no folder. Links are named, and never followed into a folder. */
function* walk(root: string, below: string, budget: { entries: number }): Generator<string> {
  let entries: fs.Dirent[];
  try {
    entries = fs.readdirSync(path.join(root, below), { withFileTypes: true });
  } catch {
    return;
  }
  for (const entry of entries) {
    budget.entries -= 1;
    if (budget.entries < 0) return;
    const name = path.posix.join(below, entry.name);
    if (entry.isDirectory()) yield* walk(root, name, budget);
    else yield name;
  }
}

/** The folders at a pattern's start that hold no wildcard: only what is below them is looked at. */
function literalFolder(pattern: string): string {
  const parts = pattern.split('/');
  const wild = parts.findIndex((part) => /[*?]/.test(part));
  return parts.slice(0, wild === -1 ? -1 : wild).join('/');
}

async function readCandidate(
  name: string,
  { root, file }: Candidate,
  bytesMax: number,
): Promise<Artifact | { readonly why: string }> {
  if (name.length > PATH_CHARACTERS_MAX) return { why: `its path is longer than ${PATH_CHARACTERS_MAX} characters` };
  try {
    const handle = await openInside(root, file);
    if ('why' in handle) return handle;
    try {
      const { size } = await handle.stat();
      if (size > bytesMax) return { why: `with its ${size} bytes all of them would be larger than what is kept` };
      const hash = createHash('sha256');
      let bytes = 0;
      // Not longer than it was: a file that grows while it is read would have no end.
      const stream = size === 0 ? [] : handle.createReadStream({ autoClose: false, end: size - 1 });
      for await (const part of stream) {
        hash.update(part as Buffer);
        bytes += (part as Buffer).length;
      }
      return { path: name, bytes, sha256: hash.digest('hex') };
    } finally {
      await handle.close();
    }
  } catch (error) {
    return { why: `it cannot be read (${(error as NodeJS.ErrnoException).code ?? String(error)})` };
  }
}

/** Opens an artifact that has been collected, to be sent. @throws if it cannot be read any more */
export async function openArtifact(sources: ArtifactSources, name: string): Promise<fs.promises.FileHandle> {
  // In the order in which they were found: one in CANDOR_ARTIFACTS stands before one of the same name.
  const root = fs.existsSync(path.join(sources.folder, name)) ? sources.folder : sources.workingFolder;
  const handle = await openInside(root, path.join(root, name));
  if ('why' in handle) throw new Error(handle.why);
  return handle;
}

async function openInside(root: string, file: string): Promise<fs.promises.FileHandle | { readonly why: string }> {
  const real = fs.realpathSync(file);
  if (!real.startsWith(`${fs.realpathSync(root)}/`)) return { why: 'it is a link that leads out of the folder' };
  if (!fs.statSync(real).isFile()) return { why: 'it is not a file' };
  // Neither does a pipe in this place hold the runner up, nor does a link that was put there a moment ago lead astray.
  const flags = fs.constants.O_RDONLY | fs.constants.O_NONBLOCK | fs.constants.O_NOFOLLOW;
  return fs.promises.open(real, flags);
}
