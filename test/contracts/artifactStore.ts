/**
 * What every ArtifactStore keeps: the bytes that were announced, whole or not at all, at an address of their own. A caller
 * that is sent elsewhere goes there as the runner does: with the length of its bytes, their checksum if the link asks for it, and
 * without a token.
 */
import { createHash, randomBytes } from 'node:crypto';
import { beforeEach, describe, expect, it } from 'vitest';
import type { Artifact } from '../../core/contract/runner.ts';
import type { ArtifactStore, LogAddress } from '../../core/ports.ts';

const ADDRESS = { tenantId: 't1', runId: 'run_1', attempt: 1 };

const artifactOf = (content: Uint8Array, path = 'out/report ü.txt'): Artifact => ({
  path,
  bytes: content.length,
  sha256: createHash('sha256').update(content).digest('hex'),
});
const streamOf = (content: Uint8Array) => new Blob([Buffer.from(content)]).stream();

export function artifactStoreContract(name: string, begin: () => Promise<ArtifactStore> | ArtifactStore): void {
  describe(`${name} keeps the contract of an artifact store`, () => {
    let store: ArtifactStore;
    beforeEach(async () => {
      store = await begin();
    });

    /** Whether the bytes were taken. */
    async function put(artifact: Artifact, content: Uint8Array, address: LogAddress = ADDRESS): Promise<boolean> {
      try {
        const answer = await store.put(address, artifact, streamOf(content));
        if (answer.kind === 'stored') return true;
        return answer.kind === 'elsewhere' && (await sendTo(answer.url, artifact, content));
      } catch (error) {
        expect(error).toMatchObject({ code: 'invalid_request' });
        return false;
      }
    }

    async function sendTo(url: string, { sha256 }: Artifact, content: Uint8Array): Promise<boolean> {
      const signed = new URL(url).searchParams.get('X-Amz-SignedHeaders') ?? '';
      const checksum = Buffer.from(sha256, 'hex').toString('base64');
      const headers = {
        'content-type': 'application/octet-stream',
        ...(signed.includes('x-amz-checksum-sha256') && { 'x-amz-checksum-sha256': checksum }),
      };
      return (await fetch(url, { method: 'PUT', headers, body: Buffer.from(content) })).ok;
    }

    async function get(artifact: Artifact, address: LogAddress = ADDRESS): Promise<Buffer | undefined> {
      const answer = await store.get(address, artifact);
      if (answer === undefined) return undefined;
      const body = answer.kind === 'bytes' ? new Response(answer.body) : await fetch(answer.url);
      return Buffer.from(await body.arrayBuffer());
    }

    it.each([0, 1, 100_000])('gives back %d bytes as they were', async (bytes) => {
      const content = randomBytes(bytes);
      expect(await put(artifactOf(content), content)).toBe(true);
      expect(await get(artifactOf(content))).toEqual(content);
    });

    it('refuses other bytes than were announced, and keeps none of them', async () => {
      const content = Buffer.from('hello');
      expect(await put(artifactOf(content), Buffer.from('hullo'))).toBe(false);
      expect(await get(artifactOf(content))).toBeUndefined();
      expect(await put({ ...artifactOf(content), sha256: '0'.repeat(64) }, content)).toBe(false);
    });

    it('says where bytes are wanted that are asked about, and has none of them until they come', async () => {
      const content = randomBytes(1000);
      const artifact = artifactOf(content);
      for (let time = 0; time < 2; time++) {
        const answer = await store.put(ADDRESS, artifact, undefined);
        expect(['here', 'elsewhere']).toContain(answer.kind);
        expect(await get(artifact)).toBeUndefined();
        if (answer.kind === 'elsewhere') expect(await sendTo(answer.url, artifact, randomBytes(1000))).toBe(false);
      }
      const answer = await store.put(ADDRESS, artifact, undefined);
      const taken = answer.kind === 'elsewhere' ? sendTo(answer.url, artifact, content) : put(artifact, content);
      expect(await taken).toBe(true);
      expect(await get(artifact)).toEqual(content);
    });

    it('is the same after it was sent again', async () => {
      const content = Buffer.from('hello');
      for (let time = 0; time < 2; time++) expect(await put(artifactOf(content), content)).toBe(true);
      expect(await get(artifactOf(content))).toEqual(content);
    });

    it('keeps runs and attempts apart, and has nothing that was never sent', async () => {
      const content = Buffer.from('hello');
      await put(artifactOf(content), content);
      expect(await get(artifactOf(content), { ...ADDRESS, attempt: 2 })).toBeUndefined();
      expect(await get(artifactOf(content), { ...ADDRESS, runId: 'run_2' })).toBeUndefined();
      expect(await get(artifactOf(Buffer.from('other')))).toBeUndefined();
    });

    it('refuses what cannot be part of an address', async () => {
      const artifact = artifactOf(Buffer.from('x'));
      for (const address of [
        { ...ADDRESS, runId: '../run_1' },
        { ...ADDRESS, attempt: 0 },
      ]) {
        await expect(store.put(address, artifact, streamOf(Buffer.from('x')))).rejects.toThrow(RangeError);
        await expect(store.put(address, artifact, undefined)).rejects.toThrow(RangeError);
        await expect(store.get(address, artifact)).rejects.toThrow(RangeError);
      }
      await expect(store.get(ADDRESS, { ...artifact, sha256: '../x' })).rejects.toThrow(RangeError);
    });
  });
}
