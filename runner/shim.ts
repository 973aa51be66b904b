/**
 * The shim between the runner and one run's command. It imports node's built-ins and one file beside it, all of it
 * before it claims the run, because it must start fast and must not depend on anything that an upgrade of the runner
 * could move under it. It outlives the runner:
 * all that it knows it leaves in the run's folder, where any runner of this VM can read it.
 *
 * plan.json -> shim.json (the claim) -> started.json, capture.ndjson -> exit.json
 */
import { isUtf8 } from 'node:buffer';
import { type ChildProcess, type StdioOptions, spawn, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import { Socket } from 'node:net';
import path from 'node:path';
import { Mask } from './mask.ts';

interface Plan {
  readonly argv: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly cwd: string;
  readonly maxLogBytes: number;
  readonly mask: readonly string[];
}

type Stream = 'stdout' | 'stderr' | 'candor';

/** Escaped as JSON (six bytes for one at worst) a record of this size still fits into one log chunk. */
const RECORD_BYTES_MAX = 32 * 1024;
const TOUCH_MS = 500;
/** How long output is still read after the command's end while a background child keeps the pipes open. */
const PIPES_GRACE_MS = 1000;
/** One a second; the runner takes a shim that has nothing to wait for and is silent for longer than this for hung. */
const EXIT_WRITE_TRIES = 50;

const folder = process.argv[2] ?? '';
const inFolder = (name: string) => path.join(folder, name);
const monotonicMs = () => Number(process.hrtime.bigint() / 1000n) / 1000;

function readText(file: string): string {
  try {
    return fs.readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}

/** Field 22 of /proc/<pid>/stat. The name in field 2 may hold anything, so counting starts behind its parenthesis. */
function startTicks(pid: number): number {
  const stat = readText(`/proc/${pid}/stat`);
  return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? -1);
}

/** How many processes the kernel has killed for want of memory: in our cgroup if that can be read, else in all. */
function oomKills(): number {
  const group = /^0::(.*)$/m.exec(readText('/proc/self/cgroup'))?.[1] ?? '';
  const events = readText(path.join('/sys/fs/cgroup', group, 'memory.events')) || readText('/proc/vmstat');
  return Number(/^oom_kill (\d+)$/m.exec(events)?.[1] ?? 0);
}

function writeSynced(file: string, value: unknown): void {
  const fd = fs.openSync(file, 'w', 0o600);
  try {
    fs.writeFileSync(fd, JSON.stringify(value));
    fs.fsyncSync(fd);
  } finally {
    fs.closeSync(fd);
  }
}

function syncFolder(): void {
  const fd = fs.openSync(folder, 'r');
  fs.fsyncSync(fd);
  fs.closeSync(fd);
}

/** What the end of the work must be told in is written beforehand: then telling it needs no room on the disk. */
const REPORTS = ['started.json', 'exit.json'] as const;
const REPORT_BYTES = 1024;
const draft = (name: string) => inFolder(`${name}.${process.pid}`);

function leaveReport(name: (typeof REPORTS)[number], report: unknown): void {
  const fd = fs.openSync(draft(name), fs.constants.O_RDWR | fs.constants.O_CREAT, 0o600);
  try {
    fs.writeFileSync(fd, JSON.stringify(report).padEnd(REPORT_BYTES));
    fs.fsyncSync(fd);
  } finally {
    fs.closeSync(fd);
  }
  fs.renameSync(draft(name), inFolder(name));
  syncFolder();
}

/**
 * Takes the right to run the command. The link is atomic and exclusive: of two shims, or of a shim and a runner that
 * is about to report `not_started`, exactly one gets it, so a command is never started twice nor after a refusal.
 */
function claim(): boolean {
  const own = inFolder(`shim.json.${process.pid}`);
  writeSynced(own, { shimPid: process.pid, shimStartTicks: startTicks(process.pid), bootId });
  try {
    fs.linkSync(own, inFolder('shim.json'));
    syncFolder();
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  } finally {
    fs.unlinkSync(own);
  }
}

/** How many bytes at the end of `bytes` begin a UTF-8 sequence that is not complete yet. */
function incompleteTail(bytes: Buffer): number {
  for (let back = 1; back <= Math.min(3, bytes.length); back += 1) {
    const byte = bytes[bytes.length - back] ?? 0;
    if ((byte & 0xc0) === 0x80) continue;
    const length = byte >= 0xf8 ? 1 : byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : byte >= 0xc0 ? 2 : 1;
    return length > back ? back : 0;
  }
  return 0;
}

/** Writes records to the capture file. Writing synchronously is the backpressure: while it writes, nothing is read. */
class Capture {
  readonly #fd = fs.openSync(inFolder('capture.ndjson'), 'a', 0o600);
  readonly #held: Record<Stream, Buffer> = {
    stdout: Buffer.alloc(0),
    stderr: Buffer.alloc(0),
    candor: Buffer.alloc(0),
  };
  readonly #masks: Record<Stream, Mask>;
  readonly #maxBytes: number;
  readonly #startedMs: number;
  #keptBytes = 0;
  #droppedBytes = 0;
  /** Lost to the disk since the last record that it took. */
  #lostBytes = 0;
  #fileBytes = 0;
  #touchedMs = 0;

  constructor({ maxLogBytes, mask }: Plan, startedMs: number) {
    this.#maxBytes = maxLogBytes;
    this.#masks = { stdout: new Mask(mask), stderr: new Mask(mask), candor: new Mask(mask) };
    this.#startedMs = startedMs;
  }

  take(stream: Stream, data: Buffer): void {
    this.#takeMasked(stream, this.#masks[stream].take(data));
  }

  /** Says something in Candor's own name; it does not count against the limit. */
  say(text: string): void {
    const mask = this.#masks.candor;
    this.#record('candor', Buffer.concat([mask.take(Buffer.from(text)), mask.end()]));
  }

  /** Answers how many bytes the disk has not taken without the log saying so. */
  close(): number {
    for (const stream of ['stdout', 'stderr'] as const) {
      this.#takeMasked(stream, this.#masks[stream].end());
      this.#keep(stream, this.#held[stream]);
    }
    if (this.#droppedBytes > 0) {
      this.say(`${this.#droppedBytes} bytes dropped here: the limit of ${this.#maxBytes} bytes was reached`);
    }
    this.#sayLost();
    try {
      fs.fsyncSync(this.#fd);
      fs.closeSync(this.#fd);
    } catch {
      // The end of the work must be told, whatever becomes of its output.
    }
    return this.#lostBytes;
  }

  #takeMasked(stream: Stream, data: Buffer): void {
    const held = this.#held[stream];
    const bytes = held.length > 0 ? Buffer.concat([held, data]) : data;
    const whole = bytes.length - incompleteTail(bytes);
    this.#held[stream] = Buffer.from(bytes.subarray(whole));
    this.#keep(stream, bytes.subarray(0, whole));
  }

  #keep(stream: Stream, bytes: Buffer): void {
    let kept = bytes;
    // Once something was dropped nothing is kept any more, so that what is stored has no hole before its end.
    const roomBytes = this.#droppedBytes > 0 ? 0 : this.#maxBytes - this.#keptBytes;
    if (kept.length > roomBytes) {
      kept = kept.subarray(0, Math.max(0, roomBytes));
      kept = kept.subarray(0, kept.length - incompleteTail(kept));
      this.#droppedBytes += bytes.length - kept.length;
      this.#touch();
    }
    this.#keptBytes += kept.length;
    for (let from = 0; from < kept.length; ) {
      let piece = kept.subarray(from, from + RECORD_BYTES_MAX);
      if (from + piece.length < kept.length) piece = piece.subarray(0, piece.length - incompleteTail(piece));
      this.#record(stream, piece);
      from += piece.length;
    }
  }

  /** Output that is not kept is a sign of life all the same: the runner sees that the file's time has changed. */
  #touch(): void {
    if (monotonicMs() < this.#touchedMs + TOUCH_MS) return;
    this.#touchedMs = monotonicMs();
    try {
      fs.futimesSync(this.#fd, new Date(), new Date());
    } catch {
      // The next output is as good a sign.
    }
  }

  /** A full disk must not end the work: what it does not take is counted, and said in its place once it takes more. */
  #record(stream: Stream, bytes: Buffer): void {
    if (this.#sayLost() && this.#write(stream, bytes)) return;
    this.#lostBytes += bytes.length;
    this.#touch();
  }

  #sayLost(): boolean {
    if (this.#lostBytes === 0) return true;
    const text = `${this.#lostBytes} bytes dropped here: they could not be written to disk`;
    if (!this.#write('candor', Buffer.from(text))) return false;
    this.#lostBytes = 0;
    return true;
  }

  #write(stream: Stream, bytes: Buffer): boolean {
    const atMs = Math.max(0, Math.round(monotonicMs() - this.#startedMs));
    const content = isUtf8(bytes) ? { text: bytes.toString('utf8') } : { base64: bytes.toString('base64') };
    const line = Buffer.from(`${JSON.stringify({ atMs, stream, ...content })}\n`);
    try {
      for (let written = 0; written < line.length; ) written += fs.writeSync(this.#fd, line, written);
      this.#fileBytes += line.length;
      return true;
    } catch {
      this.#takeBack();
      return false;
    }
  }

  /** Half a line is no record, and would spoil the next one. Nobody has read it: the runner reads whole lines only. */
  #takeBack(): void {
    try {
      fs.ftruncateSync(this.#fd, this.#fileBytes);
    } catch {
      // The runner passes over a line that is none.
    }
  }
}

interface Pipes {
  readonly stdio: StdioOptions;
  /** To be called once the child has the writing ends. */
  readonly opened: (child: ChildProcess | undefined) => readonly NodeJS.ReadableStream[];
}

/**
 * Named pipes for the command's output. Node's own "pipes" are sockets, on which a script's `echo > /dev/stderr` fails
 * with ENXIO. Where no named pipe can be made, node's are better than none.
 */
function openPipes(inputFd: number): Pipes {
  const fifos = [inFolder('stdout.fifo'), inFolder('stderr.fifo')];
  const { O_RDONLY, O_WRONLY, O_NONBLOCK } = fs.constants;
  if (spawnSync('mkfifo', ['-m', '600', ...fifos], { stdio: 'ignore' }).status !== 0) {
    return {
      stdio: [inputFd, 'pipe', 'pipe'],
      opened: (child) => [child?.stdout, child?.stderr].filter((stream) => !!stream),
    };
  }
  const readers = fifos.map((fifo) => fs.openSync(fifo, O_RDONLY | O_NONBLOCK));
  const writers = fifos.map((fifo) => fs.openSync(fifo, O_WRONLY));
  for (const fifo of fifos) fs.unlinkSync(fifo);
  return {
    stdio: [inputFd, ...writers],
    opened: () => {
      for (const fd of writers) fs.closeSync(fd);
      return readers.map((fd) => new Socket({ fd, readable: true, writable: false }));
    },
  };
}

interface Ending {
  readonly exitCode?: number;
  readonly signal?: string;
  readonly spawnError?: string;
  readonly unwrittenBytes?: number;
}

/** Leaves the verdict. A disk that is full just now is worth waiting for: without it the end cannot be proved. */
function leave(ending: Ending, endedMonotonicMs: number, oomKillsBefore: number): void {
  for (let tries = 1; ; tries += 1) {
    try {
      const oomKilled = ending.signal === 'SIGKILL' && oomKills() > oomKillsBefore;
      leaveReport('exit.json', { ...ending, endedMonotonicMs, bootId, oomKilled });
      process.exit(0);
    } catch (error) {
      if (tries >= EXIT_WRITE_TRIES) throw error;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1000);
    }
  }
}

function start(plan: Plan, pipes: Pipes): ChildProcess | Ending {
  if (!fs.statSync(plan.cwd, { throwIfNoEntry: false })?.isDirectory()) {
    return { exitCode: 127, spawnError: `the working directory ${plan.cwd} does not exist` };
  }
  try {
    const [file = '', ...args] = plan.argv;
    return spawn(file, args, { cwd: plan.cwd, env: plan.env, detached: true, stdio: pipes.stdio });
  } catch (error) {
    return { exitCode: 126, spawnError: String(error) };
  }
}

function run(plan: Plan): void {
  const oomKillsBefore = oomKills();
  const pipes = openPipes(fs.openSync(inFolder('input'), 'r'));
  const startedMonotonicMs = monotonicMs();
  const capture = new Capture(plan, startedMonotonicMs);
  const child = start(plan, pipes);

  let over = false;
  const finish = (ending: Ending, endedMs: number) => {
    if (over) return;
    over = true;
    if (ending.spawnError !== undefined) capture.say(`The command could not be started: ${ending.spawnError}`);
    const unwrittenBytes = capture.close();
    leave({ ...ending, ...(unwrittenBytes > 0 && { unwrittenBytes }) }, endedMs, oomKillsBefore);
  };
  if (!('on' in child)) {
    finish(child, monotonicMs());
    return;
  }

  let open = 0;
  let exited: (() => void) | undefined;
  const [stdout, stderr] = pipes.opened(child);
  for (const [name, stream] of [['stdout', stdout] as const, ['stderr', stderr] as const]) {
    if (!stream) continue;
    open += 1;
    stream.on('data', (data: Buffer) => capture.take(name, data));
    stream.on('error', () => {});
    stream.on('close', () => {
      open -= 1;
      if (open === 0) exited?.();
    });
  }
  child.on('error', (error: NodeJS.ErrnoException) => {
    if (child.pid !== undefined) return;
    finish({ exitCode: error.code === 'EACCES' ? 126 : 127, spawnError: error.message }, monotonicMs());
  });
  child.on('exit', (exitCode, signal) => {
    const endedMs = monotonicMs();
    exited = () => finish(signal === null ? { exitCode: exitCode ?? 0 } : { signal }, endedMs);
    if (open === 0) exited();
    // Two rounds of the event loop read what lies in the pipes even if this process was held up for all of the wait.
    setTimeout(() => setImmediate(() => setImmediate(() => exited?.())), PIPES_GRACE_MS);
  });
  if (child.pid !== undefined) {
    recordStart({ pid: child.pid, startTicks: startTicks(child.pid), startedMonotonicMs, bootId });
  }
}

/** A disk that is full just now must not take the shim away from work that has started. */
function recordStart(report: Readonly<Record<string, number | string>>): void {
  try {
    leaveReport('started.json', report);
  } catch {
    setTimeout(() => recordStart(report), 1000);
  }
}

const bootId = readText('/proc/sys/kernel/random/boot_id').trim();
// A signal meant for the work, or a hang-up, must not take away the one who can tell how the work ended.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => {});
const plan = JSON.parse(fs.readFileSync(inFolder('plan.json'), 'utf8')) as Plan;
// Without room for the reports nothing is claimed: then it is certain that nothing was started.
for (const name of REPORTS) fs.writeFileSync(draft(name), ' '.repeat(REPORT_BYTES), { mode: 0o600 });
if (claim()) {
  // The plan holds the agent's secrets: it does not stay on disk once it has been read.
  fs.unlinkSync(inFolder('plan.json'));
  run(plan);
}
