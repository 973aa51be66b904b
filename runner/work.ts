/** The work itself: starting it through the shim, looking at it, signalling it, by the run's folder and its mark. */
import { type ChildProcess, spawn } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import type { ArtifactSources } from './artifacts.ts';
import type { ExitReport, Probe, StartReport } from './decide.ts';
import { createExclusively, linkExclusively, readJson, syncFile, writeSynced } from './files.ts';
import {
  currentBootId,
  isAlive,
  type Mark,
  markEnvironment,
  markedProcesses,
  type ProcessId,
  sendSignal,
} from './proc.ts';
import { handOver, type RunAs, userVariables } from './runAs.ts';
import type { Plan, StageName } from './shim.ts';
import type { Address, StartCommand } from './state.ts';
import { reserveMarks } from './upload.ts';

/** The shim lies beside this file, with the same ending whether it runs from source or compiled. */
const SHIM_FILE = fileURLToPath(new URL(`./shim${path.extname(import.meta.url)}`, import.meta.url));

/** The second keeps memory small: what passes through a shim is garbage at once. */
const SHIM_FLAGS = ['--disable-warning=ExperimentalWarning', '--semi-space-growth-factor=1'];

export interface StartSurroundings {
  readonly vmDir: string;
  readonly folder: string;
  readonly mark: Mark;
  /** Where the agent reaches the server. */
  readonly url: string;
  /** The part of the runner's own environment that every agent gets. */
  readonly baseEnvironment: Readonly<Record<string, string>>;
  readonly compileCache: string | undefined;
  readonly runAs?: RunAs | undefined;
}

/**
 * Prepares the run's folder and starts the shim, in a session of its own and tied to the runner by nothing.
 * @throws if the folder exists already or cannot be prepared
 */
export function startShim(command: StartCommand, surroundings: StartSurroundings): ChildProcess {
  const { folder, mark, baseEnvironment, compileCache } = surroundings;
  const inFolder = (name: string) => path.join(folder, name);
  fs.mkdirSync(path.dirname(folder), { recursive: true, mode: 0o700 });
  fs.mkdirSync(folder, { mode: 0o700 });
  fs.mkdirSync(inFolder('work'));
  fs.mkdirSync(inFolder('artifacts'));
  fs.mkdirSync(path.dirname(outputFile(folder)));
  // Made while there is room, for what must be said when there is none any more.
  reserveMarks(folder);
  fs.writeFileSync(inFolder('refused.json'), JSON.stringify({ refused: true }));
  const { input } = command;
  fs.writeFileSync(inFolder('input'), typeof input === 'string' ? input : JSON.stringify(input), { mode: 0o600 });
  handOver(surroundings.runAs, {
    through: [surroundings.vmDir, path.dirname(folder), folder],
    own: ['work', 'artifacts', 'input', path.basename(path.dirname(outputFile(folder)))].map(inFolder),
  });
  const marks = markEnvironment(mark);
  const plan = planOf(command, surroundings);
  // Whoever collects the artifacts may be another runner, which has never seen the command.
  if (command.artifacts?.length) {
    fs.writeFileSync(inFolder('artifacts.json'), JSON.stringify({ workingFolder: plan.cwd, globs: command.artifacts }));
  }
  for (const stage of STAGES) if (plan[stage]) fs.writeFileSync(pendingFile(folder, stage), '');
  writeSynced(inFolder('plan.json'), JSON.stringify(plan));
  const log = fs.openSync(inFolder('shim.log'), 'a', 0o600);
  try {
    const child = spawn(process.execPath, [...SHIM_FLAGS, SHIM_FILE, folder], {
      cwd: '/',
      detached: true,
      stdio: ['ignore', 'ignore', log],
      env: { ...baseEnvironment, ...marks, ...(compileCache !== undefined && { NODE_COMPILE_CACHE: compileCache }) },
    });
    child.unref();
    return child;
  } finally {
    fs.closeSync(log);
  }
}

/** An id is the server's to choose; it must not lead out of the VM's folder. */
export const runFolder = (vmDir: string, { runId, attempt }: Address): string =>
  path.join(vmDir, 'runs', `${encodeURIComponent(runId)}.${attempt}`);

/** In a folder of its own, which may belong to another user than the run's. */
export const outputFile = (folder: string): string => path.join(folder, 'answer', 'output');

const STAGES: readonly StageName[] = ['setup', 'repository'];
const pendingFile = (folder: string, stage: StageName) => path.join(folder, `${stage}.pending`);

/** All that the shim has to know. */
function planOf(command: StartCommand, surroundings: StartSurroundings): Plan {
  const { vmDir, folder, mark, url, runAs } = surroundings;
  const baseEnvironment = { ...surroundings.baseEnvironment, ...userVariables(runAs) };
  const inFolder = (name: string) => path.join(folder, name);
  const marks = markEnvironment(mark);
  const env = { ...baseEnvironment, ...command.env };
  const { CANDOR_RUN_TOKEN: _, ...setupEnv } = env;
  const { setup, repository } = command;
  return {
    mark,
    argv: command.command,
    cwd: path.resolve(inFolder('work'), command.workingDirectory ?? '.'),
    maxLogBytes: command.maxLogBytes,
    // Its own token too: work that prints its environment must not leave it in a log.
    mask: [...(command.mask ?? []), command.runToken],
    ...(runAs !== undefined && { runAs }),
    env: {
      ...env,
      CANDOR_INPUT: inFolder('input'),
      CANDOR_OUTPUT: outputFile(folder),
      CANDOR_ARTIFACTS: inFolder('artifacts'),
      CANDOR_URL: url,
      CANDOR_RUN_TOKEN: command.runToken,
      ...(command.occurrence !== undefined && { CANDOR_OCCURRENCE: command.occurrence }),
      ...marks,
    },
    ...(setup && {
      setup: {
        ...setup,
        env: { ...setupEnv, ...marks },
        folder: path.join(vmDir, 'setup'),
        workingFolder: path.join(vmDir, 'shared'),
      },
    }),
    ...(repository && {
      repository: {
        ...repository,
        workingFolder: inFolder('work'),
        env: { ...baseEnvironment, ...proxies(env), ...marks },
      },
    }),
  };
}

/** Of the agent's environment a checkout gets what it may not reach the server without. */
const proxies = (env: Readonly<Record<string, string>>): Record<string, string> =>
  Object.fromEntries(Object.entries(env).filter(([name]) => /^(https?|all|no)_proxy$/i.test(name)));

interface Claim {
  readonly refused?: true;
  readonly shim?: ProcessId;
  readonly bootId?: string;
}

function readClaim(folder: string): Claim | undefined {
  const claim = readJson(path.join(folder, 'shim.json'));
  if (!isRecord(claim)) return undefined;
  if (isRefusal(claim)) return { refused: true };
  const { shimPid: pid, shimStartTicks: startTicks, bootId } = claim;
  if (typeof pid !== 'number' || typeof startTicks !== 'number' || typeof bootId !== 'string') return {};
  return { shim: { pid, startTicks }, bootId };
}

/** The plan holds the agent's secrets. A shim that comes too late finds neither it nor a claim to take. */
export const dropPlan = (folder: string): void => fs.rmSync(path.join(folder, 'plan.json'), { force: true });

/**
 * Claims a run that no shim has claimed, so that none ever can. Answers false if a shim was faster.
 * @throws if the claim cannot be written
 */
export function refuse(folder: string): boolean {
  const refused = claimForNobody(folder);
  if (refused) dropPlan(folder);
  return refused;
}

function claimForNobody(folder: string): boolean {
  fs.mkdirSync(folder, { recursive: true, mode: 0o700 });
  const claim = path.join(folder, 'shim.json');
  const prepared = path.join(folder, 'refused.json');
  // The runner that prepared the folder may have died before it was there, or while it was being written.
  if (!isRefusal(readJson(prepared))) return createExclusively(claim, JSON.stringify({ refused: true }));
  try {
    syncFile(prepared);
    return linkExclusively(prepared, claim);
  } catch {
    return createExclusively(claim, JSON.stringify({ refused: true }));
  }
}

/** The shim that has claimed the run, if one has, dead or alive. */
export const shimOf = (folder: string): ProcessId | undefined => readClaim(folder)?.shim;

/** Where the run's artifacts are looked for. */
export function artifactSources(folder: string): ArtifactSources {
  const declared = readJson(path.join(folder, 'artifacts.json')) as Partial<ArtifactSources> | undefined;
  const { workingFolder = path.join(folder, 'work'), globs = [] } = declared ?? {};
  return { folder: path.join(folder, 'artifacts'), workingFolder, globs };
}

/** `ownShimRuns`: the shim is a child of this very process and has not ended. */
export function probe(folder: string, mark: Mark, ownShimRuns: boolean): Probe {
  const claim = readClaim(folder);
  if (!claim) {
    const booting = ownShimRuns || markedProcesses(mark).length > 0;
    // It may have claimed the run and died between the two looks: only a claim that is absent still says anything.
    if (!booting && readClaim(folder)) return probe(folder, mark, ownShimRuns);
    return { shim: booting ? 'booting' : 'absent', workAlive: false };
  }
  if (claim.refused) return { shim: 'refused', workAlive: false };
  const sameBoot = claim.bootId === currentBootId();
  // The order matters: a shim seen dead has written all that it ever will, so its files are read after the look at it.
  const shimAlive = sameBoot && claim.shim !== undefined && isAlive(claim.shim);
  const started = readStarted(folder);
  const preparing = started ? undefined : STAGES.find((stage) => fs.existsSync(pendingFile(folder, stage)));
  const marked = shimAlive ? undefined : markedProcesses(mark, claim.shim).length;
  const workAlive = started ? sameBoot && isAlive(started) : (marked ?? 0) > 0;
  const exit = readExit(folder);
  const pid = claim.shim?.pid ?? 'unknown';
  const found = sameBoot ? `${marked ?? 0} processes carry the run's mark` : 'the machine has been booted again since';
  return {
    shim: shimAlive ? 'alive' : 'dead',
    workAlive,
    ...(started && { started }),
    ...(preparing && { preparing }),
    ...(exit && { exit }),
    detail: `The shim (pid ${pid}) and the work's process are gone and left no exit status; ${found}.`,
  };
}

function readStarted(folder: string): StartReport | undefined {
  const report = readJson(path.join(folder, 'started.json'));
  return isRecord(report) && typeof report.pid === 'number' ? (report as unknown as StartReport) : undefined;
}

function readExit(folder: string): ExitReport | undefined {
  const report = readJson(path.join(folder, 'exit.json'));
  return isRecord(report) && typeof report.endedMonotonicMs === 'number'
    ? (report as unknown as ExitReport)
    : undefined;
}

/**
 * Signals the work: its process group while its leader lives, and with SIGKILL whatever carries the mark.
 * Answers false if the work was not there any more.
 */
export function signalWork(folder: string, mark: Mark, signal: NodeJS.Signals): boolean {
  const started = readStarted(folder);
  // A pid whose process has gone may be someone else's by now, so the group is only reached through its living leader.
  const reached = started !== undefined && isAlive(started) && sendSignal(-started.pid, signal);
  if (started && signal !== 'SIGKILL') return reached;
  const shim = shimOf(folder);
  // The shim hears of it before its commands do: it must not go on with the next one, nor take their end for a failure.
  const told = !started && shim !== undefined && isAlive(shim) && sendSignal(shim.pid, 'SIGUSR2');
  const marked = markedProcesses(mark, shim);
  for (const { pid } of marked) sendSignal(pid, signal);
  return reached || told || (!started && marked.length > 0);
}

export function killAll(mark: Mark): void {
  for (const { pid } of markedProcesses(mark)) sendSignal(pid, 'SIGKILL');
}

const isRefusal = (claim: unknown): boolean => isRecord(claim) && claim.refused === true;

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null;
}
