import { expect, it } from 'vitest';
import { createTokens } from '../../../adapters/local/tokens.ts';
import { tokensContract } from '../../contracts/tokens.ts';

const KEY = Buffer.alloc(32, 1).toString('base64url');

tokensContract('the tokens of one machine', () => ({
  tokens: createTokens(KEY),
  key: Buffer.from(KEY, 'base64url'),
  header: {},
  others: createTokens(Buffer.alloc(32, 2).toString('base64url')),
}));

it('verify with every key and sign with the first', async () => {
  const [old, young] = [KEY, Buffer.alloc(32, 3).toString('base64url')];
  const both = createTokens(young, old);
  const claims = { kind: 'registration', tenantId: 't', vmId: 'vm_1' } as const;
  const later = 60_000;
  expect(await both.verify(await createTokens(old).sign(claims, later), 0)).toEqual(claims);
  expect(await createTokens(young).verify(await both.sign(claims, later), 0)).toEqual(claims);
  expect(await createTokens(old).verify(await both.sign(claims, later), 0)).toBeUndefined();
});

it('need a key that is long enough', () => {
  expect(() => createTokens('short')).toThrow(RangeError);
});
