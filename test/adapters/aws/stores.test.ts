import { createHash } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { S3ArtifactStore } from '../../../adapters/aws/artifactStore.ts';
import { bucketClient } from '../../../adapters/aws/bucket.ts';
import { S3LogStore } from '../../../adapters/aws/logStore.ts';
import { artifactStoreContract } from '../../contracts/artifactStore.ts';
import { logStoreContract } from '../../contracts/logStore.ts';
import { type FakeS3, fakeS3 } from '../../support/aws/fakeS3.ts';

let s3: FakeS3;
beforeAll(async () => {
  s3 = await fakeS3();
});
afterAll(() => s3.stop());
beforeEach(() => {
  s3.objects.clear();
  s3.requests.length = 0;
});

logStoreContract('the log store in S3', () => new S3LogStore(s3));
artifactStoreContract('the artifact store in S3', () => new S3ArtifactStore(s3));

const ADDRESS = { tenantId: 't1', runId: 'run_1', attempt: 1 };

describe('the stores in S3', () => {
  it('begin every key with its tenant', async () => {
    const record = { atMs: 1, stream: 'stdout', text: 'x' } as const;
    await new S3LogStore(s3).putChunk(ADDRESS, 7, [record]);
    expect([...s3.objects.keys()]).toEqual(['logs/t1/run_1/1/00000007.ndjson']);
    await expect(new S3LogStore(s3).putChunk({ ...ADDRESS, tenantId: '../t2' }, 0, [])).rejects.toThrow(RangeError);
  });

  it('ask for one chunk where there is nothing new: a log that is followed costs one request a look', async () => {
    await new S3LogStore(s3).read(ADDRESS, 3, 50);
    expect(s3.requests).toEqual(['GET logs/t1/run_1/1/00000003.ndjson']);
  });

  it('sign length, type and checksum of what may be put', async () => {
    const artifact = { path: 'a', bytes: 3, sha256: 'ab'.repeat(32) };
    const { url } = await new S3ArtifactStore(s3).put(ADDRESS, artifact, undefined);
    const query = new URL(url).searchParams;
    const signed = query.get('X-Amz-SignedHeaders')?.split(';');
    expect(signed).toEqual(['content-length', 'content-type', 'host', 'x-amz-checksum-sha256']);
    // In the query S3 would not look at it.
    expect([...query.keys()].filter((name) => /checksum-(sha|crc)/i.test(name))).toEqual([]);
  });

  it('take for a link the announced bytes and no others, whatever is said of those', async () => {
    const base64 = (content: string) => createHash('sha256').update(content).digest('base64');
    const artifact = { path: 'a', bytes: 3, sha256: Buffer.from(base64('abc'), 'base64').toString('hex') };
    const { url } = await new S3ArtifactStore(s3).put(ADDRESS, artifact, undefined);
    const send = async (body: string, checksum?: string) => {
      const type = { 'content-type': 'application/octet-stream' };
      const headers = checksum === undefined ? type : { ...type, 'x-amz-checksum-sha256': checksum };
      return (await fetch(url, { method: 'PUT', headers, body })).status;
    };
    expect(await send('xyz', base64('abc'))).toBe(400);
    expect(await send('xyz', base64('xyz'))).toBe(403);
    expect(await send('abcd', base64('abc'))).toBe(403);
    expect(await send('abc')).toBe(403);
    expect(s3.objects.size).toBe(0);
    expect(await send('abc', base64('abc'))).toBe(200);
  });

  it('send readers to bytes that no browser takes for a page', async () => {
    const content = Buffer.from('<script>');
    const sha256 = 'cd'.repeat(32);
    s3.objects.set(`artifacts/t1/run_1/1/${sha256}`, content);
    const found = await new S3ArtifactStore(s3).get(ADDRESS, { path: 'd/p "1".html', bytes: content.length, sha256 });
    const { headers } = await fetch(found?.url ?? '');
    expect(headers.get('content-type')).toBe('application/octet-stream');
    expect(headers.get('content-disposition')).toBe("attachment; filename*=UTF-8''p%20%221%22.html");
  });

  it('know buckets by path where the endpoint is not S3’s own', async () => {
    expect(await bucketClient({ emulated: true }).config.forcePathStyle).toBe(true);
    expect(await bucketClient({ emulated: false }).config.forcePathStyle).toBe(false);
  });
});
