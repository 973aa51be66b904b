/** The form of the tokens of runners and runs, wherever their keys are kept: JWTs, signed with one of a set of keys. */
import { decodeProtectedHeader, errors, jwtVerify, SignJWT } from 'jose';
import * as z from 'zod';
import type { TokenClaims } from '../../core/ports.ts';

const AUDIENCE = 'candor-runner';
/** Named on both sides: a verifier that takes the algorithm from the token takes `none` from a forger. */
const ALGORITHM = 'HS256';
const SIGNING_KEY_BYTES_MIN = 32;

/** A key with its name; without a name, where there is only ever one. */
export interface SigningKey {
  readonly kid?: string;
  readonly key: Uint8Array;
}

const Claims = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('registration'), tenantId: z.string(), vmId: z.string() }),
  z.object({
    kind: z.literal('vm'),
    tenantId: z.string(),
    vmId: z.string(),
    generation: z.int().min(0),
    number: z.int().min(1).exactOptional(),
  }),
  z.object({
    kind: z.literal('run'),
    tenantId: z.string(),
    vmId: z.string(),
    runId: z.string(),
    attempt: z.int().min(1),
  }),
]);

/** @throws RangeError when the key is shorter than the algorithm's digest */
export function checkKey(key: Uint8Array): Uint8Array {
  if (key.length < SIGNING_KEY_BYTES_MIN)
    throw new RangeError(`the signing key has ${key.length} bytes; it needs at least ${SIGNING_KEY_BYTES_MIN}`);
  return key;
}

export const signToken = ({ kid, key }: SigningKey, claims: TokenClaims, expiresAt: number): Promise<string> =>
  new SignJWT({ ...claims })
    .setProtectedHeader({ alg: ALGORITHM, ...(kid !== undefined && { kid }) })
    .setAudience(AUDIENCE)
    // A JWT counts whole seconds: rounded down, a token never lives longer than was asked for.
    .setExpirationTime(Math.floor(expiresAt / 1000))
    .sign(key);

/** The name of the key that a token says it was signed with. Worth nothing until the signature has been checked. */
export function keyNameOf(token: string): string | undefined {
  try {
    return decodeProtectedHeader(token).kid;
  } catch {
    return undefined;
  }
}

/** Answers undefined for anything that was not signed with this very key, has expired, or is of another form. */
export async function verifyToken(key: SigningKey, token: string, now: number): Promise<TokenClaims | undefined> {
  try {
    const { payload } = await jwtVerify(token, key.key, {
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
