/** What every Secrets keeps: what was stored under an id, and nothing for an id that is none or has nothing. */
import { beforeEach, describe, expect, it } from 'vitest';
import type { Secrets } from '../../core/ports.ts';

/** @param begin with this secret stored for tenant `t1`, and nothing else */
export function secretsContract(name: string, begin: (id: string, value: string) => Promise<Secrets> | Secrets): void {
  describe(`${name} keep the contract of secrets`, () => {
    const VALUE = 'a line\nand another, with "quotes" and ü';
    let secrets: Secrets;
    beforeEach(async () => {
      secrets = await begin('github.token-1', VALUE);
    });

    it('gives back what was stored, as it was', async () => {
      expect(await secrets.read('t1', 'github.token-1')).toBe(VALUE);
    });

    it('has nothing for another tenant', async () => {
      for (const tenantId of ['t2', 'local', ''])
        expect(await secrets.read(tenantId, 'github.token-1')).toBeUndefined();
    });

    it('has nothing for another id, nor for what could lead elsewhere', async () => {
      for (const id of ['other', '', '.', '..', '../github.token-1', 'a/b', '.hidden', 'x'.repeat(101)])
        expect(await secrets.read('t1', id), id).toBeUndefined();
    });
  });
}
