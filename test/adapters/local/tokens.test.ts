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

it('need a key that is long enough', () => {
  expect(() => createTokens('short')).toThrow(RangeError);
});
