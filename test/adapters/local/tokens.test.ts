import { SignJWT } from 'jose';
import { describe, expect, it } from 'vitest';
import { createTokens } from '../../../adapters/local/tokens.ts';
import type { TokenClaims } from '../../../core/ports.ts';

const KEY = Buffer.alloc(32, 1).toString('base64url');
const NOW = Date.UTC(2026, 10, 20);
const LATER = NOW + 60_000;
const VM: TokenClaims = { kind: 'vm', tenantId: 't1', vmId: 'vm_1', generation: 2 };

const forge = (claims: Record<string, unknown>, audience = 'candor-runner', algorithm = 'HS256') =>
  new SignJWT(claims)
    .setProtectedHeader({ alg: algorithm })
    .setAudience(audience)
    .setExpirationTime(LATER / 1000)
    .sign(algorithm === 'HS256' ? Buffer.from(KEY, 'base64url') : Buffer.alloc(64, 1));

describe('tokens', () => {
  const tokens = createTokens(KEY);

  it.each<TokenClaims>([
    VM,
    { kind: 'registration', tenantId: 't1', vmId: 'vm_1' },
    { kind: 'run', tenantId: 't1', vmId: 'vm_1', runId: 'run_1', attempt: 1 },
  ])('carry the claims of a $kind', async (claims) => {
    expect(await tokens.verify(await tokens.sign(claims, LATER), NOW)).toEqual(claims);
  });

  it('are worth nothing from their expiry on', async () => {
    const token = await tokens.sign(VM, LATER);

    expect(await tokens.verify(token, LATER - 1000)).toEqual(VM);
    expect(await tokens.verify(token, LATER)).toBeUndefined();
  });

  it('of another key, audience or algorithm, without an expiry, or of another shape are refused', async () => {
    const [head, , signature] = (await tokens.sign(VM, LATER)).split('.');
    const raised = Buffer.from(JSON.stringify({ ...VM, aud: 'candor-runner', exp: LATER, generation: 9 }));
    const unlimited = new SignJWT({ ...VM }).setProtectedHeader({ alg: 'HS256' }).setAudience('candor-runner');
    const bad = [
      await createTokens(Buffer.alloc(32, 2).toString('base64url')).sign(VM, LATER),
      await forge(VM, 'somebody-else'),
      await forge(VM, 'candor-runner', 'HS512'),
      await forge({ kind: 'vm', tenantId: 't1' }),
      await forge({ kind: 'admin', tenantId: 't1', vmId: 'vm_1' }),
      await unlimited.sign(Buffer.from(KEY, 'base64url')),
      `${head}.${raised.toString('base64url')}.${signature}`,
      'not a token',
      '',
    ];

    for (const token of bad) expect(await tokens.verify(token, NOW), token).toBeUndefined();
  });

  it('need a key that is long enough', () => {
    expect(() => createTokens('short')).toThrow(RangeError);
  });
});
