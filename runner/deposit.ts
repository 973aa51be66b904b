/** Sends what a run has left to where it is kept. Only what has arrived there is told of as an artifact. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Artifact } from '../core/contract/runner.ts';
import { type ArtifactSources, openArtifact } from './artifacts.ts';
import type { Answer, FileBody } from './door.ts';
import { backoffMs, Patience, type PatienceDoor } from './patience.ts';

export interface DepositDoor extends PatienceDoor {
  /** Answers undefined if it could not be tried just now. */
  readonly put: (artifact: Artifact, body: FileBody) => Promise<Answer | undefined>;
}

export interface Deposited {
  readonly stored: Artifact[];
  readonly remarks: readonly string[];
}

/** These are no verdict on the artifact: the token is being renewed, or the server has too much to do. */
const PASSING_STATUSES: readonly number[] = [401, 403, 408, 425, 429];
const REMARKS_MAX = 5;

/** Stores artifacts, one after the other. A server that fails is waited for as with the log, for all of them together. */
export async function deposit(
  artifacts: readonly Artifact[],
  sources: ArtifactSources,
  door: DepositDoor,
): Promise<Deposited> {
  const stored: Artifact[] = [];
  const failed: string[] = [];
  const patience = new Patience(door);
  for (const artifact of artifacts) {
    const why = await store(artifact, sources, door, patience);
    if (why === undefined) stored.push(artifact);
    else failed.push(`The artifact ${JSON.stringify(artifact.path)} could not be stored: ${why}.`);
  }
  const more = failed.length - REMARKS_MAX;
  return { stored, remarks: [...failed.slice(0, REMARKS_MAX), ...(more > 0 ? [`Nor could ${more} more.`] : [])] };
}

/** Answers why it could not be stored, if it could not. Once the patience is over there is one try for each. */
async function store(
  artifact: Artifact,
  sources: ArtifactSources,
  door: DepositDoor,
  patience: Patience,
): Promise<string | undefined> {
  const { bytes, sha256, path } = artifact;
  const body: FileBody = { bytes, sha256, open: () => openArtifact(sources, path) };
  for (let failures = 0; ; failures += 1) {
    // Nobody is there to take it.
    if (door.patience().ms === 0) return 'nobody takes it any more';
    const answer = await door.put(artifact, body);
    if (answer?.kind === 'ok') {
      patience.renew();
      return undefined;
    }
    if (answer?.kind === 'refused' && answer.status < 500 && !PASSING_STATUSES.includes(answer.status)) {
      return `it was refused (${answer.status}${answer.code === undefined ? '' : ` ${answer.code}`})`;
    }
    if (patience.isOver()) {
      return answer === undefined ? 'the server does not answer' : failure(answer);
    }
    await sleep(backoffMs(failures));
  }
}

const failure = (answer: Exclude<Answer, { kind: 'ok' }>): string =>
  answer.kind === 'refused' ? `the server fails (${answer.status})` : `it could not be sent (${answer.reason})`;
