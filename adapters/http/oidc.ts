/**
 * Users of an OpenID Connect provider. Signature, algorithm, issuer, audience, expiry and not-before are checked by `jose`;
 * the keys come from the provider's own document, and are fetched again when a token names one that is not known.
 * https://openid.net/specs/openid-connect-core-1_0.html#IDTokenValidation, RFC 9068 for access tokens.
 */
import { createRemoteJWKSet, decodeJwt, errors, type JWTPayload, jwtVerify } from 'jose';
import * as z from 'zod';
import { identityOfUser, type UserClaims } from '../../core/access/credentials.ts';
import { RoleName } from '../../core/contract/access.ts';
import { ROLES, type Role } from '../../core/contract/roles.ts';
import { CandorError } from '../../core/errors.ts';
import type { Ports } from '../../core/ports.ts';
import type { Authenticate } from './authenticate.ts';

const LOOPBACK = /^http:\/\/(127\.0\.0\.1|localhost|\[::1\])(:\d+)?(\/|$)/;

/** On one machine a provider may speak plain HTTP over loopback; nowhere else. */
const Address = z
  .url('must be a URL')
  .refine((url) => url.startsWith('https://') || LOOPBACK.test(url), 'must begin with https://');

export const OidcConfig = z.strictObject({
  /** As it stands in the tokens, to the letter. */
  issuer: Address,
  /** Who the tokens must be for. */
  audience: z.string().min(1),
  /** Where its keys are; absent: its discovery document says so. */
  jwksUri: Address.optional(),
  /** The claim that names the tenant; absent: all users are of the installation's one tenant. */
  tenantClaim: z.string().min(1).optional(),
  /** The claim that names the user's role; a word or a list. Whom it gives a role has that one, and no longer than it says so. */
  roleClaim: z.string().min(1).optional(),
  /** What a user may before an administrator has said anything; absent: nothing. */
  defaultRole: RoleName.optional(),
});
export type OidcConfig = z.output<typeof OidcConfig>;

/** Asymmetric ones only: a provider's public key must never serve as a shared secret, and `none` is no signature. */
const ALGORITHMS = ['RS256', 'PS256', 'ES256', 'EdDSA'];
const CLOCK_TOLERANCE_SECONDS = 5;
const FETCH_MS = 5000;
/** OpenID Connect Core 1.0 §2: at most 255 characters. */
const SUBJECT_MAX = 255;
const NAME_MAX = 120;
const TENANT = /^[a-z0-9][a-z0-9_-]{0,62}$/;

export interface OidcPorts extends Pick<Ports, 'store' | 'time' | 'ids' | 'config' | 'log'> {}

export interface OidcOptions {
  /**
   * For so long after they were fetched the provider's keys are not fetched again for a token that names an unknown one:
   * whoever makes tokens up must not decide how often the provider is asked. The default is that of `jose`, 30 s.
   */
  readonly keysCooldownMs?: number;
}

/**
 * @param tenantId of all users, where no claim names it
 * @throws (from the answer) CandorError `try_again` where the provider's keys cannot be had just now
 */
export function oidcUsers(
  ports: OidcPorts,
  config: OidcConfig,
  tenantId: string,
  options: OidcOptions = {},
): Authenticate {
  const keys = lazily(() => keySet(config, options));
  return async (bearer, noting) => {
    if (!isFrom(bearer, config.issuer)) return undefined;
    let payload: JWTPayload;
    try {
      ({ payload } = await jwtVerify(bearer, await keys(), {
        issuer: config.issuer,
        audience: config.audience,
        algorithms: ALGORITHMS,
        requiredClaims: ['sub', 'exp'],
        clockTolerance: CLOCK_TOLERANCE_SECONDS,
        currentDate: new Date(ports.time.now()),
      }));
    } catch (error) {
      if (isUnreachable(error)) throw unreachable(ports, config, error);
      if (error instanceof errors.JOSEError) return undefined;
      throw unreachable(ports, config, error);
    }
    const user = userOf(payload, config, tenantId);
    return user === undefined ? undefined : identityOfUser(ports, user, config.defaultRole, noting);
  };
}

/** Worth nothing until the signature has been checked; it saves asking a provider about what is not its own. */
function isFrom(bearer: string, issuer: string): boolean {
  try {
    return decodeJwt(bearer).iss === issuer;
  } catch {
    return false;
  }
}

const Discovery = z.looseObject({ issuer: z.string(), jwks_uri: Address });

async function keySet({ issuer, jwksUri }: OidcConfig, { keysCooldownMs }: OidcOptions) {
  const options = {
    timeoutDuration: FETCH_MS,
    ...(keysCooldownMs !== undefined && { cooldownDuration: keysCooldownMs }),
  };
  if (jwksUri !== undefined) return createRemoteJWKSet(new URL(jwksUri), options);
  const url = `${issuer.replace(/\/$/, '')}/.well-known/openid-configuration`;
  const response = await fetch(url, { signal: AbortSignal.timeout(FETCH_MS), redirect: 'error' });
  if (!response.ok) throw new Error(`${url} answers ${response.status}`);
  const found = Discovery.parse(await response.json());
  // A document that speaks for another issuer is none of ours (OpenID Connect Discovery 1.0 §4.3).
  if (found.issuer !== issuer) throw new Error(`${url} is the document of ${found.issuer}`);
  return createRemoteJWKSet(new URL(found.jwks_uri), options);
}

/** Made once it is needed; what failed is tried again. */
function lazily<T>(make: () => Promise<T>): () => Promise<T> {
  let made: Promise<T> | undefined;
  return () => {
    made ??= make().catch((error: unknown) => {
      made = undefined;
      throw error;
    });
    return made;
  };
}

/** No key set, or none that could be read: that says nothing of the token. */
const isUnreachable = (error: unknown): boolean =>
  error instanceof errors.JWKSTimeout || error instanceof errors.JWKSInvalid || isPlainJoseError(error);

/** `jose` has one bare error for an answer of the provider that is not 200. */
const isPlainJoseError = (error: unknown): boolean =>
  error instanceof errors.JOSEError && error.code === 'ERR_JOSE_GENERIC';

function unreachable({ log }: OidcPorts, { issuer }: OidcConfig, error: unknown): CandorError {
  log.error('authenticate.provider_unreachable', { issuer, error: String(error) });
  return new CandorError('try_again', 'The identity provider cannot be asked just now.', {
    remedy: 'Send it again later.',
  });
}

function userOf(payload: JWTPayload, config: OidcConfig, tenantId: string): UserClaims | undefined {
  const { sub = '', name, email } = payload;
  const tenant = config.tenantClaim === undefined ? tenantId : payload[config.tenantClaim];
  if (typeof tenant !== 'string' || !TENANT.test(tenant) || sub === '' || sub.length > SUBJECT_MAX) return undefined;
  const shown = [name, email, sub].find((each): each is string => typeof each === 'string' && each !== '') ?? sub;
  return {
    tenantId: tenant,
    issuer: config.issuer,
    subject: sub,
    name: shown.slice(0, NAME_MAX),
    ...(config.roleClaim !== undefined && { role: roleIn(payload[config.roleClaim]) ?? 'none' }),
    ...(payload.iat !== undefined && { issuedAt: payload.iat * 1000 }),
  };
}

/** A word, or several of which the one that opens most counts; what is no role of Candor is for somebody else. */
function roleIn(claim: unknown): Role | undefined {
  const words: readonly unknown[] = Array.isArray(claim) ? claim : [claim];
  return ROLES.findLast((role) => words.includes(role));
}
