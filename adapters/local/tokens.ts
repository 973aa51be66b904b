/** Tokens of runners and runs, signed with the data folder's own key. */
import type { Tokens } from '../../core/ports.ts';
import { checkKey, signToken, verifyToken } from '../system/jwt.ts';

/**
 * The first key signs, all of them verify: so a new key interrupts nobody.
 * @param signingKeys each base64url of at least 32 random bytes
 * @throws RangeError when a key is shorter than the algorithm's digest
 */
export function createTokens(...signingKeys: readonly [string, ...string[]]): Tokens {
  const [current, ...older] = signingKeys;
  const keyOf = (text: string) => checkKey(Buffer.from(text, 'base64url'));
  const key = keyOf(current);
  const all = [key, ...older.map(keyOf)];
  return {
    sign: (claims, expiresAt) => signToken({ key }, claims, expiresAt),
    verify: async (token, now) => {
      for (const each of all) {
        const claims = await verifyToken({ key: each }, token, now);
        if (claims !== undefined) return claims;
      }
      return undefined;
    },
  };
}
