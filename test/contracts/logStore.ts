/** What every LogStore keeps: chunks in order, written again without harm, read without gaps from any number on. */
import { beforeEach, describe, expect, it } from 'vitest';
import type { LogRecord, LogStore } from '../../core/ports.ts';

const ADDRESS = { tenantId: 't1', runId: 'run_1', attempt: 1 };
const line = (text: string): LogRecord => ({ atMs: 1, stream: 'stdout', text });

export function logStoreContract(name: string, begin: () => Promise<LogStore> | LogStore): void {
  describe(`${name} keeps the contract of a log store`, () => {
    let logs: LogStore;
    beforeEach(async () => {
      logs = await begin();
    });

    it('gives back what was put, in order, from any chunk on', async () => {
      const records: LogRecord[] = [line('a\n"b"\u2028'), { atMs: 2.5, stream: 'stderr', base64: '/w==' }];
      await logs.putChunk(ADDRESS, 1, [line('second')]);
      await logs.putChunk(ADDRESS, 0, records);
      await logs.putChunk(ADDRESS, 2, []);

      expect(await logs.read(ADDRESS, 0, 10)).toEqual({ records: [...records, line('second')], next: 3 });
      expect(await logs.read(ADDRESS, 1, 1)).toEqual({ records: [line('second')], next: 2 });
      expect(await logs.read(ADDRESS, 3, 10)).toEqual({ records: [], next: 3 });
    });

    it('gives as many chunks as were asked for, and where to go on, however many there are', async () => {
      await Promise.all(Array.from({ length: 25 }, (_, chunk) => logs.putChunk(ADDRESS, chunk, [line(String(chunk))])));
      const texts: (string | undefined)[] = [];
      const pages: number[] = [];
      for (let from = 0; ; ) {
        const { records, next } = await logs.read(ADDRESS, from, 10);
        if (next === from) break;
        texts.push(...records.map((record) => record.text));
        pages.push(next);
        from = next;
      }
      expect(texts).toEqual(Array.from({ length: 25 }, (_, chunk) => String(chunk)));
      expect(pages).toEqual([10, 20, 25]);
    });

    it('stops at a chunk that is missing, and goes on once it has come', async () => {
      await logs.putChunk(ADDRESS, 0, [line('0')]);
      await logs.putChunk(ADDRESS, 2, [line('2')]);
      expect(await logs.read(ADDRESS, 0, 10)).toEqual({ records: [line('0')], next: 1 });

      await logs.putChunk(ADDRESS, 1, [line('1')]);

      expect(await logs.read(ADDRESS, 1, 10)).toEqual({ records: [line('1'), line('2')], next: 3 });
    });

    it('is the same after a chunk was written again, by several at once too', async () => {
      await Promise.all(Array.from({ length: 8 }, () => logs.putChunk(ADDRESS, 0, [line('same')])));
      expect(await logs.read(ADDRESS, 0, 10)).toEqual({ records: [line('same')], next: 1 });
    });

    it('keeps what a chunk says first: another content is refused', async () => {
      await logs.putChunk(ADDRESS, 0, [line('first')]);

      await expect(logs.putChunk(ADDRESS, 0, [line('other')])).rejects.toMatchObject({ code: 'chunk_conflict' });

      await logs.putChunk(ADDRESS, 0, [line('first')]);
      expect(await logs.read(ADDRESS, 0, 10)).toEqual({ records: [line('first')], next: 1 });
    });

    it('stops before it has more bytes than are wanted, but not before the first chunk', async () => {
      const bytes = Buffer.byteLength(`${JSON.stringify(line('é0'))}\n`);
      for (let chunk = 0; chunk < 5; chunk++) await logs.putChunk(ADDRESS, chunk, [line(`é${chunk}`)]);

      expect(await logs.read(ADDRESS, 0, 10, 3 * bytes)).toMatchObject({ next: 3 });
      expect(await logs.read(ADDRESS, 3, 10, 3 * bytes)).toMatchObject({ next: 5 });
      expect(await logs.read(ADDRESS, 0, 10, 3 * bytes - 1)).toMatchObject({ next: 2 });
      expect(await logs.read(ADDRESS, 1, 10, 1)).toEqual({ records: [line('é1')], next: 2 });
    });

    it('keeps attempts apart', async () => {
      await logs.putChunk(ADDRESS, 0, [line('first try')]);
      expect(await logs.read({ ...ADDRESS, attempt: 2 }, 0, 10)).toEqual({ records: [], next: 0 });
    });

    it.each(['../run_1', 'run/1', '', '.', 'RUN', 'run_1\0'])('refuses %j for the id of a run', async (runId) => {
      await expect(logs.putChunk({ ...ADDRESS, runId }, 0, [])).rejects.toThrow(RangeError);
      await expect(logs.read({ ...ADDRESS, runId }, 0, 1)).rejects.toThrow(RangeError);
    });

    it('refuses numbers that are none', async () => {
      await expect(logs.putChunk({ ...ADDRESS, attempt: 0 }, 0, [])).rejects.toThrow(RangeError);
      for (const chunk of [-1, 0.5, 1e8, Number.NaN])
        await expect(logs.putChunk(ADDRESS, chunk, [])).rejects.toThrow(RangeError);
    });
  });
}
