/**
 * The shim between the runner and one run's command. All that it imports is node's own or lies beside it, and is loaded
 * before it claims the run, because it must start fast and must not depend on anything that an upgrade of the runner
 * could move under it. It outlives the runner: all that it knows it leaves in the run's folder, where any runner of this
 * VM can read it.
 *
 * plan.json -> shim.json (the claim) -> started.json, capture.ndjson -> exit.json
 *
 * What has to be done before the command is started, its setup and its checkout, is pending as long as its file is there.
 */
import fs from 'node:fs';
import path from 'node:path';
import { Capture } from './capture.ts';
import { checkOut, type RepositoryPlan, secretsOf } from './checkout.ts';
import { type Ending, execute } from './command.ts';
import { linkExclusively, readText, syncFolder, writeSynced } from './files.ts';
import { masked } from './mask.ts';
import { currentBootId, livingProcess, type Mark, monotonicMs, type ProcessId } from './proc.ts';
import type { RunAs } from './runAs.ts';
import { type SetupPlan, setUp } from './setup.ts';
import { Stage, Unprepared } from './stage.ts';

/** What the runner leaves for the shim in `plan.json`. */
export interface Plan {
  readonly mark: Mark;
  readonly argv: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly cwd: string;
  readonly maxLogBytes: number;
  readonly mask: readonly string[];
  readonly setup?: SetupPlan;
  readonly repository?: RepositoryPlan;
  readonly runAs?: RunAs;
}

/** In their order. The file `<stage>.pending` says that it is not over. */
export type StageName = 'setup' | 'repository';

interface NotStarted {
  readonly because: StageName;
  readonly detail: string;
}

/** One a second; the runner takes a shim that has nothing to wait for and is silent for longer than this for hung. */
const EXIT_WRITE_TRIES = 50;

const folder = process.argv[2] ?? '';
const inFolder = (name: string) => path.join(folder, name);

/** How many processes the kernel has killed for want of memory: in our cgroup if that can be read, else in all. */
function oomKills(): number {
  const group = /^0::(.*)$/m.exec(readText('/proc/self/cgroup') ?? '')?.[1] ?? '';
  const events = readText(path.join('/sys/fs/cgroup', group, 'memory.events')) || readText('/proc/vmstat');
  return Number(/^oom_kill (\d+)$/m.exec(events ?? '')?.[1] ?? 0);
}

/** What the end of the work must be told in is written beforehand: then telling it needs no room on the disk. */
const REPORTS = ['started.json', 'exit.json'] as const;
const REPORT_BYTES = 4096;
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
  syncFolder(folder);
}

/**
 * Takes the right to run the command. The link is atomic and exclusive: of two shims, or of a shim and a runner that
 * is about to report `not_started`, exactly one gets it, so a command is never started twice nor after a refusal.
 */
function claim(claimedMonotonicMs: number): boolean {
  const own = inFolder(`shim.json.${process.pid}`);
  const { startTicks: shimStartTicks = -1 } = livingProcess(process.pid) ?? {};
  writeSynced(own, JSON.stringify({ shimPid: process.pid, shimStartTicks, bootId, claimedMonotonicMs }));
  try {
    return linkExclusively(own, inFolder('shim.json'));
  } finally {
    fs.unlinkSync(own);
  }
}

type Verdict =
  | (Omit<Ending, 'endedMonotonicMs'> & { readonly unwrittenBytes?: number })
  | { readonly notStarted: NotStarted };

/** Leaves the verdict. A disk that is full just now is worth waiting for: without it the end cannot be proved. */
function leave(verdict: Verdict, endedMonotonicMs: number, oomKillsBefore: number): void {
  for (let tries = 1; ; tries += 1) {
    try {
      const oomKilled = 'signal' in verdict && verdict.signal === 'SIGKILL' && oomKills() > oomKillsBefore;
      leaveReport('exit.json', { ...verdict, endedMonotonicMs, bootId, oomKilled });
      process.exit(0);
    } catch (error) {
      if (tries >= EXIT_WRITE_TRIES) throw error;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1000);
    }
  }
}

/** A disk that is full just now must not take the shim away from work that has started. */
function recordStart(id: ProcessId, startedMonotonicMs: number): void {
  try {
    leaveReport('started.json', { ...id, startedMonotonicMs, bootId });
  } catch {
    setTimeout(() => recordStart(id, startedMonotonicMs), 1000);
  }
}

/** Answers what has failed, if anything has. */
async function prepare({ setup, repository, mask }: Plan, stage: Stage): Promise<NotStarted | undefined> {
  const failed = setup && (await pass('setup', 'The setup failed', () => setUp(stage, setup)));
  if (failed || !repository) return failed;
  return pass('repository', 'The repository could not be checked out', () => checkOut(stage, repository, folder));

  async function pass(because: StageName, what: string, work: () => Promise<void>): Promise<NotStarted | undefined> {
    try {
      await work();
      stage.check();
    } catch (error) {
      const detail = `${what}. ${error instanceof Unprepared ? error.message : masked(String(error), mask)}`;
      stage.say(detail);
      return { because, detail };
    }
    // Were it there again after a crash of the machine, a process that was started would be taken for one that was not.
    fs.unlinkSync(inFolder(`${because}.pending`));
    syncFolder(folder);
    return undefined;
  }
}

async function run(plan: Plan, capture: Capture, stage: Stage): Promise<void> {
  const notStarted = await prepare(plan, stage);
  if (notStarted) {
    const failedMs = monotonicMs();
    capture.close();
    leave({ notStarted }, failedMs, 0);
    return;
  }
  const oomKillsBefore = oomKills();
  const startedMonotonicMs = monotonicMs();
  const input = fs.openSync(inFolder('input'), 'r');
  const take = capture.take.bind(capture);
  const { pid, ended } = execute(
    { argv: plan.argv, cwd: plan.cwd, env: plan.env, input, runAs: plan.runAs },
    folder,
    take,
  );
  if (pid !== undefined) recordStart(livingProcess(pid) ?? { pid, startTicks: -1 }, startedMonotonicMs);
  const { endedMonotonicMs, spawnError, ...ending } = await ended;
  const failure = spawnError === undefined ? {} : { spawnError: masked(spawnError, plan.mask) };
  if (spawnError !== undefined) capture.say(`The command could not be started: ${spawnError}`);
  const unwrittenBytes = capture.close();
  const verdict = { ...ending, ...failure, ...(unwrittenBytes > 0 && { unwrittenBytes }) };
  leave(verdict, endedMonotonicMs, oomKillsBefore);
}

function main(): void {
  const left = JSON.parse(fs.readFileSync(inFolder('plan.json'), 'utf8')) as Plan;
  const plan = { ...left, mask: [...left.mask, ...(left.repository ? secretsOf(left.repository) : [])] };
  // Without room for the reports nothing is claimed: then it is certain that nothing was started.
  for (const name of REPORTS) fs.writeFileSync(draft(name), ' '.repeat(REPORT_BYTES), { mode: 0o600 });
  const claimedMs = monotonicMs();
  if (!claim(claimedMs)) return;
  // The plan holds the agent's secrets: it does not stay on disk once it has been read.
  fs.unlinkSync(inFolder('plan.json'));
  const capture = new Capture({
    file: inFolder('capture.ndjson'),
    maxLogBytes: plan.maxLogBytes,
    mask: plan.mask,
    startedMs: claimedMs,
  });
  const stage = new Stage({ folder, mark: plan.mark, capture, mask: plan.mask, runAs: plan.runAs });
  giveUp = () => stage.stop('it was cancelled');
  void run(plan, capture, stage);
}

const bootId = currentBootId();
// A signal meant for the work, or a hang-up, must not take away the one who can tell how the work ended.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => {});
let giveUp = () => {};
// The runner's word that what is pending is not wanted any more. It means nothing once the command has been started.
process.on('SIGUSR2', () => giveUp());
main();
