/** What the stores in S3 share: the client, and where an attempt's objects are. */
import { S3Client } from '@aws-sdk/client-s3';
import type { LogAddress } from '../../core/ports.ts';

export interface BucketOptions {
  readonly client: S3Client;
  readonly bucket: string;
}

/** @param options.emulated another endpoint than S3's own: those know buckets by path, not by host name */
export const bucketClient = ({ emulated }: { readonly emulated: boolean }): S3Client =>
  new S3Client({
    forcePathStyle: emulated,
    // The SDK would otherwise put the checksum of an empty body into every URL that it signs.
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
  });

/** Ids become parts of keys, so nothing that could name another tenant's folder is an id. */
const SAFE_ID = /^[A-Za-z0-9_-]+$/;

/** @throws RangeError when the address cannot be part of a key */
export function attemptPrefix(folder: 'logs' | 'artifacts', { tenantId, runId, attempt }: LogAddress): string {
  if (!SAFE_ID.test(tenantId)) throw new RangeError(`"${tenantId}" is not the id of a tenant`);
  if (!/^[a-z0-9_]+$/.test(runId)) throw new RangeError(`"${runId}" is not the id of a run`);
  if (!Number.isInteger(attempt) || attempt < 1) throw new RangeError(`${attempt} is not the number of an attempt`);
  return `${folder}/${tenantId}/${runId}/${attempt}/`;
}
