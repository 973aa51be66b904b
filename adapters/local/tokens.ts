/** Tokens of runners and runs, signed with the data folder's own key. */
import type { Tokens } from '../../core/ports.ts';
import { checkKey, signToken, verifyToken } from '../system/jwt.ts';

/**
 * @param signingKey base64url of at least 32 random bytes
 * @throws RangeError when the key is shorter than the algorithm's digest
 */
export function createTokens(signingKey: string): Tokens {
  const key = checkKey(Buffer.from(signingKey, 'base64url'));
  return {
    sign: (claims, expiresAt) => signToken({ key }, claims, expiresAt),
    verify: (token, now) => verifyToken({ key }, token, now),
  };
}
