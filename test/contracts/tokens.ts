/** What every Tokens keeps: the claims of what it has signed itself, until they expire, and nothing of anybody else. */
import { SignJWT } from 'jose';
import { beforeEach, describe, expect, it } from 'vitest';
import type { TokenClaims, Tokens } from '../../core/ports.ts';

const NOW = Date.UTC(2026, 10, 20);
const LATER = NOW + 60_000;
const VM: TokenClaims = { kind: 'vm', tenantId: 't1', vmId: 'vm_1', generation: 2 };

export interface TokensHarness {
  readonly tokens: Tokens;
  /** Its signing key, and what is to stand in the header beside the algorithm: for forgeries that come close. */
  readonly key: Uint8Array;
  readonly header: Readonly<Record<string, string>>;
  /** Tokens of the same form, signed with another key. */
  readonly others: Tokens;
}

export function tokensContract(name: string, begin: () => Promise<TokensHarness> | TokensHarness): void {
  describe(`${name} keep the contract of tokens`, () => {
    let harness: TokensHarness;
    beforeEach(async () => {
      harness = await begin();
    });
    const forge = (claims: Record<string, unknown>, audience = 'candor-runner', algorithm = 'HS256') =>
      new SignJWT(claims)
        .setProtectedHeader({ alg: algorithm, ...harness.header })
        .setAudience(audience)
        .setExpirationTime(LATER / 1000)
        .sign(algorithm === 'HS256' ? harness.key : Buffer.alloc(64, 1));

    it.each<TokenClaims>([
      VM,
      { kind: 'registration', tenantId: 't1', vmId: 'vm_1' },
      { kind: 'run', tenantId: 't1', vmId: 'vm_1', runId: 'run_1', attempt: 1 },
    ])('carry the claims of a $kind', async (claims) => {
      const { tokens } = harness;
      expect(await tokens.verify(await tokens.sign(claims, LATER), NOW)).toEqual(claims);
    });

    it('are worth nothing from their expiry on', async () => {
      const token = await harness.tokens.sign(VM, LATER);
      expect(await harness.tokens.verify(token, LATER - 1000)).toEqual(VM);
      expect(await harness.tokens.verify(token, LATER)).toBeUndefined();
    });

    it('of another key, audience or algorithm, without an expiry, or of another shape are refused', async () => {
      const { tokens, others, key, header } = harness;
      expect(await tokens.verify(await forge({ ...VM }), NOW)).toEqual(VM);
      const [head, , signature] = (await tokens.sign(VM, LATER)).split('.');
      const raised = Buffer.from(JSON.stringify({ ...VM, aud: 'candor-runner', exp: LATER, generation: 9 }));
      const unlimited = new SignJWT({ ...VM })
        .setProtectedHeader({ alg: 'HS256', ...header })
        .setAudience('candor-runner');
      const bad = [
        await others.sign(VM, LATER),
        await forge(VM, 'somebody-else'),
        await forge(VM, 'candor-runner', 'HS512'),
        await forge({ kind: 'vm', tenantId: 't1' }),
        await forge({ kind: 'admin', tenantId: 't1', vmId: 'vm_1' }),
        await unlimited.sign(key),
        `${head}.${raised.toString('base64url')}.${signature}`,
        `${Buffer.from(JSON.stringify({ alg: 'none', ...header })).toString('base64url')}.${raised.toString('base64url')}.`,
        'not a token',
        '',
      ];
      for (const token of bad) expect(await tokens.verify(token, NOW), token).toBeUndefined();
    });
  });
}
