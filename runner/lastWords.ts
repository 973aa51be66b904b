/**
 * What is left to say of a VM when none of its processes lives: the outcomes in its journal that nobody has
 * acknowledged, and those that only a shim could still write down. Read by whoever removes the VM's folder.
 */
import fs from 'node:fs';
import path from 'node:path';
import type { RegistryEntry } from '../core/contract/runner.ts';
import { readOutput } from './collect.ts';
import { type Collected, decide, type Event, type ExitReport } from './decide.ts';
import { readJson } from './files.ts';
import { replay } from './journal.ts';
import { currentBootId, monotonicMs } from './proc.ts';
import { clip, registryOf } from './registry.ts';
import { apply, isLive, keyOf, liveRuns, type Run, type State } from './state.ts';
import { LogUpload } from './upload.ts';
import { artifactSources, outputFile, probe, refuse, runFolder } from './work.ts';

const FOUND = 'Read from what the VM has left: its runner did not get to report it.';

export async function lastWords(vmDir: string, vmId: string): Promise<readonly RegistryEntry[]> {
  const journal = path.join(vmDir, 'journal.ndjson');
  if (!fs.existsSync(journal)) return [];
  const known = replay(fs.readFileSync(journal)).state;
  let state = known;
  for (const run of liveRuns(known)) state = await ended(state, run, vmDir, vmId);
  const now = { monotonicMs: monotonicMs(), bootId: currentBootId() };
  return [...state.runs.values()]
    .filter((run) => !isLive(run))
    .flatMap((run) => {
      // One at a time: together their outputs may not fit.
      const alone = { ...state, runs: new Map([[keyOf(run), run]]) };
      return registryOf(alone, now, () => ({})).map(({ logChunks, detail, ...entry }) => ({
        ...entry,
        // Of a log that was cut off it is not known whether its last chunk has arrived.
        ...(logChunks !== undefined && !isCutOff(known, run) && { logChunks }),
        detail: clip(detail === undefined ? FOUND : `${detail} ${FOUND}`),
      }));
    });
}

/** Its runner did not get as far as to store the rest of its output. */
const isCutOff = (known: State, run: Run): boolean => known.runs.get(keyOf(run))?.outcome === undefined;

/** The state with the run's end, if its folder proves one. */
async function ended(state: State, run: Run, vmDir: string, vmId: string): Promise<State> {
  const { runId, attempt } = run;
  const folder = runFolder(vmDir, run);
  const look = () => probe(folder, { vmId, runId, attempt }, false);
  let seen = look();
  if (seen.shim === 'absent' && refuse(folder)) seen = look();
  if (seen.shim === 'refused') return after(state, { kind: 'probed', runId, attempt, probe: seen });
  if (seen.shim !== 'dead' || seen.exit === undefined || endedWithVm(seen.exit, vmDir)) return state;
  const begun = after(state, { kind: 'probed', runId, attempt, probe: seen });
  const collected = await collectedOf(folder, run.maxOutputBytes, seen.exit.notStarted === undefined);
  return after(begun, { kind: 'collected', runId, attempt, probe: seen, collected });
}

function after(state: State, event: Event): State {
  return decide(state, event, monotonicMs()).facts.reduce(apply, state);
}

/** Work that was ended together with its VM says nothing of how it would have ended. */
function endedWithVm(exit: ExitReport, vmDir: string): boolean {
  const ending = readJson(path.join(vmDir, 'terminating')) as Partial<Pick<ExitReport, 'bootId'>> & {
    readonly monotonicMs?: number;
  };
  if (ending?.monotonicMs === undefined || ending.bootId !== exit.bootId) return false;
  return exit.endedMonotonicMs >= ending.monotonicMs;
}

/** There is nobody to whom the rest of the log, and the artifacts, could be sent. */
async function collectedOf(folder: string, maxOutputBytes: number, started: boolean): Promise<Collected> {
  const upload = new LogUpload(folder, {
    put: async () => 'refused',
    reachable: () => true,
    patience: () => ({ ms: 0, whileUnreachable: true }),
  });
  const unstoredBytes = await upload.drain();
  const { remark, ...output } = started ? readOutput(outputFile(folder), maxOutputBytes, true) : {};
  const remarks = [
    ...(unstoredBytes > 0 ? [`Up to ${unstoredBytes} bytes of captured output could not be stored.`] : []),
    ...(remark === undefined ? [] : [remark]),
    ...(started && mayHaveArtifacts(folder) ? ['Its artifacts could not be stored.'] : []),
  ];
  return { ...output, logChunks: upload.stored, remarks };
}

function mayHaveArtifacts(folder: string): boolean {
  const sources = artifactSources(folder);
  return sources.globs.length > 0 || (fs.existsSync(sources.folder) && fs.readdirSync(sources.folder).length > 0);
}
