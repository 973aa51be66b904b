/**
 * A report as it can be kept. What the work wrote must never be why its end cannot be stored: then nothing that its VM
 * reports would be, and it would end as lost. Pure.
 */
import type { Json } from '../contract/common.ts';
import type { RegistryEntry } from '../contract/runner.ts';
import { byteLength } from '../rules.ts';

/** A DynamoDB item has at most 400 KB, its names included (AWS, "Service, account, and table quotas in DynamoDB"). */
const STORED_BYTES_MAX = 350_000;

export function bounded(entry: RegistryEntry): RegistryEntry {
  const { output, artifacts, detail, signal } = entry;
  const kept = artifacts === undefined ? undefined : keptArtifacts(artifacts);
  const left = (artifacts?.length ?? 0) - (kept?.length ?? 0);
  const remarks = [detail, left > 0 && `${left} artifacts with very long names are not listed`]
    .filter(Boolean)
    .join('; ');
  return {
    ...entry,
    ...(signal !== undefined && { signal: signal.toWellFormed() }),
    ...(remarks !== '' && { detail: remarks.toWellFormed() }),
    ...(kept !== undefined && { artifacts: kept }),
    ...(output !== undefined && keptOutput(output, entry.outputTruncatedBytes)),
  };
}

type KeptOutput = Pick<RegistryEntry, 'output' | 'outputTruncatedBytes'>;

/** By the text that is stored, not by the bytes that were written: JSON needs up to six bytes for one of them. */
function keptOutput(output: Json, missing: number | undefined): KeptOutput {
  const whole = byteLength(output);
  if (whole <= STORED_BYTES_MAX) return { output, ...(missing !== undefined && { outputTruncatedBytes: missing }) };
  const text = typeof output === 'string' ? output : JSON.stringify(output);
  const start = longestStart(text);
  return {
    output: start,
    outputTruncatedBytes: (missing ?? 0) + Buffer.byteLength(text) - Buffer.byteLength(start),
  };
}

/** By halves: the longest start whose JSON text can be stored. */
function longestStart(text: string): string {
  let [fits, tooLong] = [0, text.length];
  while (tooLong - fits > 1) {
    const middle = (fits + tooLong) >>> 1;
    if (byteLength(text.slice(0, middle)) <= STORED_BYTES_MAX) fits = middle;
    else tooLong = middle;
  }
  // Not in the middle of a character.
  const start = text.slice(0, fits);
  return start.isWellFormed() ? start : start.slice(0, -1);
}

function keptArtifacts(artifacts: NonNullable<RegistryEntry['artifacts']>): NonNullable<RegistryEntry['artifacts']> {
  const wellFormed = artifacts.map((artifact) => ({ ...artifact, path: artifact.path.toWellFormed() }));
  let bytes = 2;
  return wellFormed.filter((artifact) => {
    bytes += byteLength(artifact) + 1;
    return bytes <= STORED_BYTES_MAX;
  });
}
