/** Tokens of runners and runs: JWTs signed with the data folder's own key. */
import { errors, jwtVerify, SignJWT } from 'jose';
import * as z from 'zod';
import type { TokenClaims, Tokens } from '../../core/ports.ts';

const AUDIENCE = 'candor-runner';
/** Named on both sides: a verifier that takes the algorithm from the token takes `none` from a forger. */
const ALGORITHM = 'HS256';
const SIGNING_KEY_BYTES_MIN = 32;

const Claims = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('registration'), tenantId: z.string(), vmId: z.string() }),
  z.object({ kind: z.literal('vm'), tenantId: z.string(), vmId: z.string(), generation: z.int().min(0) }),
  z.object({
    kind: z.literal('run'),
    tenantId: z.string(),
    vmId: z.string(),
    runId: z.string(),
    attempt: z.int().min(1),
  }),
]);

/**
 * @param signingKey base64url of at least 32 random bytes
 * @throws RangeError when the key is shorter than the algorithm's digest
 */
export function createTokens(signingKey: string): Tokens {
  const key = Buffer.from(signingKey, 'base64url');
  if (key.length < SIGNING_KEY_BYTES_MIN)
    throw new RangeError(`the signing key has ${key.length} bytes; it needs at least ${SIGNING_KEY_BYTES_MIN}`);
  return {
    sign: (claims, expiresAt) =>
      new SignJWT({ ...claims })
        .setProtectedHeader({ alg: ALGORITHM })
        .setAudience(AUDIENCE)
        // A JWT counts whole seconds: rounded down, a token never lives longer than was asked for.
        .setExpirationTime(Math.floor(expiresAt / 1000))
        .sign(key),
    verify: (token, now) => verify(key, token, now),
  };
}

async function verify(key: Uint8Array, token: string, now: number): Promise<TokenClaims | undefined> {
  try {
    const { payload } = await jwtVerify(token, key, {
      algorithms: [ALGORITHM],
      audience: AUDIENCE,
      requiredClaims: ['exp'],
      currentDate: new Date(now),
    });
    return Claims.safeParse(payload).data;
  } catch (error) {
    if (error instanceof errors.JOSEError) return undefined;
    throw error;
  }
}
