/** What happens between the end of a run's process and its outcome: nothing may be left, and nothing may be lost. */
import fs from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Json } from '../core/contract/common.ts';
import type { Artifact } from '../core/contract/runner.ts';
import { collectArtifacts } from './artifacts.ts';
import type { Collected } from './decide.ts';
import { type DepositDoor, deposit } from './deposit.ts';
import { isCode, readJson } from './files.ts';
import { log } from './log.ts';
import { isAlive, type Mark, markedProcesses, monotonicMs, type ProcessId, sendSignal } from './proc.ts';
import type { LogUpload } from './upload.ts';
import { artifactSources, outputFile, shimOf } from './work.ts';

const LEFTOVER_TERMINATE_MS = 2000;
const SHIM_GRACE_MS = 2000;
const LOOK_AGAIN_MS = 10;
/** In the middle of an exec a process shows no environment for a moment: one look without a find proves nothing. */
const CLEAN_LOOKS = 2;
/** Deeper JSON than this goes out as text: whoever reads it further on would run out of stack. */
const JSON_DEPTH_MAX = 100;

export interface CollectOptions {
  readonly folder: string;
  readonly mark: Mark;
  readonly upload: LogUpload;
  /** Where the artifacts go. */
  readonly door: DepositDoor;
  readonly killAtOnce: boolean;
  /** The command was started; otherwise nothing is looked for that it would have left. */
  readonly started: boolean;
  readonly maxOutputBytes: number;
  /** The run's processes are another user's: no link of theirs may show what only the runner can read. */
  readonly isForeign: boolean;
}

/** Ends left-overs, then stores the rest of the logs and the artifacts, and reads the output: nothing is added behind. */
export async function collect(options: CollectOptions): Promise<Collected> {
  const { folder, mark, upload, door, killAtOnce, started, maxOutputBytes } = options;
  const shim = shimOf(folder);
  const leftovers = await endLeftovers(mark, shim, killAtOnce);
  const artifacts = started ? await artifactsOf(folder) : [];
  const unstoredBytes = await upload.drain();
  const deposited = await deposit(artifacts, artifactSources(folder), door);
  const { remark, ...output } = started ? readOutput(outputFile(folder), maxOutputBytes, options.isForeign) : {};
  const remarks = [
    ...(leftovers > 0 ? [`${leftovers} processes that it had left running were ended.`] : []),
    ...(unstoredBytes > 0 ? [`${unstoredBytes} bytes of captured output could not be stored.`] : []),
    ...(remark === undefined ? [] : [remark]),
    ...deposited.remarks,
  ];
  return { ...output, logChunks: upload.stored, artifacts: deposited.stored, remarks };
}

/** Looks at the artifacts once: another runner, after this one's death, goes by what was found and said then. */
async function artifactsOf(folder: string): Promise<Artifact[]> {
  const file = path.join(folder, 'collected.json');
  const known = readJson(file) as { artifacts: Artifact[] } | undefined;
  if (known) return known.artifacts;
  const { artifacts, remarks } = await collectArtifacts(artifactSources(folder));
  if (artifacts.length === 0 && remarks.length === 0) return artifacts;
  try {
    fs.writeFileSync(file, JSON.stringify({ artifacts }));
    if (remarks.length > 0) sayInLog(folder, remarks);
  } catch (error) {
    log.warn('artifacts_not_kept', { folder, remarks: remarks.join(' '), reason: String(error) });
  }
  return artifacts;
}

/** Adds Candor's own words at the end of the captured output. The shim is gone, so nobody else writes there. */
function sayInLog(folder: string, texts: readonly string[]): void {
  const claim = readJson(path.join(folder, 'shim.json')) as { claimedMonotonicMs?: number } | undefined;
  const atMs = Math.max(0, Math.round(monotonicMs() - (claim?.claimedMonotonicMs ?? monotonicMs())));
  const lines = texts.map((text) => `${JSON.stringify({ atMs, stream: 'candor', text })}\n`);
  // A shim that was killed may have left half a line.
  fs.appendFileSync(path.join(folder, 'capture.ndjson'), `\n${lines.join('')}`);
}

/** Ends every process that carries the mark, and answers how many there were. It returns when none is left. */
async function endLeftovers(mark: Mark, shim: ProcessId | undefined, killAtOnce: boolean): Promise<number> {
  const asked = new Set<number>();
  const startMs = monotonicMs();
  const killFromMs = startMs + (killAtOnce ? 0 : LEFTOVER_TERMINATE_MS);
  for (let cleanLooks = 0; ; ) {
    const left = markedProcesses(mark, shim);
    const shimLives = shim !== undefined && isAlive(shim);
    cleanLooks = left.length === 0 && !shimLives ? cleanLooks + 1 : 0;
    if (cleanLooks === CLEAN_LOOKS) return asked.size;
    for (const { pid } of left) {
      if (monotonicMs() >= killFromMs) sendSignal(pid, 'SIGKILL');
      else if (!asked.has(pid)) sendSignal(pid, 'SIGTERM');
      asked.add(pid);
    }
    // The shim has left its report and is on its way out; should it hang there, nothing is lost by ending it.
    if (shimLives && monotonicMs() >= startMs + SHIM_GRACE_MS) sendSignal(shim.pid, 'SIGKILL');
    await sleep(LOOK_AGAIN_MS);
  }
}

interface Output {
  readonly output?: Json;
  readonly outputTruncatedBytes?: number;
  readonly remark?: string;
}

/** The content of CANDOR_OUTPUT: JSON if it parses, else text; of a longer one the start, and how much is missing. */
export function readOutput(file: string, maxBytes: number, isForeign = false): Output {
  let fd: number;
  try {
    // Without O_NONBLOCK a named pipe in this place would hold the runner up for ever.
    const noLinks = isForeign ? fs.constants.O_NOFOLLOW : 0;
    fd = fs.openSync(file, fs.constants.O_RDONLY | fs.constants.O_NONBLOCK | noLinks);
  } catch (error) {
    if (isCode(error, 'ELOOP')) return { remark: 'CANDOR_OUTPUT is a link, which is not followed.' };
    return isCode(error, 'ENOENT') ? {} : { remark: `CANDOR_OUTPUT could not be read: ${String(error)}.` };
  }
  try {
    const stat = fs.fstatSync(fd);
    if (!stat.isFile()) return { remark: 'CANDOR_OUTPUT is not a file.' };
    const bytes = readStart(fd, Math.min(stat.size, maxBytes));
    if (stat.size <= maxBytes) return { output: jsonOrText(bytes.toString('utf8')) };
    const kept = bytes.subarray(0, characterBoundary(bytes));
    return { output: kept.toString('utf8'), outputTruncatedBytes: stat.size - kept.length };
  } catch (error) {
    return { remark: `CANDOR_OUTPUT could not be read: ${String(error)}.` };
  } finally {
    fs.closeSync(fd);
  }
}

function readStart(fd: number, length: number): Buffer {
  const bytes = Buffer.alloc(length);
  let filled = 0;
  while (filled < length) {
    const read = fs.readSync(fd, bytes, filled, length - filled, filled);
    if (read === 0) break;
    filled += read;
  }
  return bytes.subarray(0, filled);
}

/** The largest length, at most three bytes shorter, that does not cut a UTF-8 sequence in two. */
function characterBoundary(bytes: Buffer): number {
  for (let back = 1; back <= Math.min(3, bytes.length); back += 1) {
    const byte = bytes[bytes.length - back] ?? 0;
    if ((byte & 0xc0) === 0x80) continue;
    const length = byte >= 0xf8 ? 1 : byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : byte >= 0xc0 ? 2 : 1;
    return length > back ? bytes.length - back : bytes.length;
  }
  return bytes.length;
}

function jsonOrText(text: string): Json {
  try {
    const value = JSON.parse(text) as Json;
    return depthWithin(value, JSON_DEPTH_MAX) ? value : text;
  } catch {
    return text;
  }
}

function depthWithin(value: Json, depth: number): boolean {
  if (typeof value !== 'object' || value === null) return true;
  return depth > 0 && Object.values(value).every((inner) => depthWithin(inner, depth - 1));
}
