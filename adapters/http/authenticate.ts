/** Credentials: who calls, by the bearer token of the request. The tenant comes from here, and from nowhere else. */
import { createHash, timingSafeEqual } from 'node:crypto';
import { identityOfKey, type Noting } from '../../core/access/credentials.ts';
import type { Identity } from '../../core/access/principals.ts';
import { CandorError } from '../../core/errors.ts';
import type { Ports, TokenClaims } from '../../core/ports.ts';

/** Answers undefined for a token that is not, or no longer, a credential of this API. */
export type Authenticate = (bearer: string, noting?: Noting) => Promise<Identity | undefined>;

/** One administrator with one token, keys of service accounts, the tokens of runs, and users of an identity provider. */
export function composeAuthenticate(options: {
  readonly ports: Pick<Ports, 'tokens' | 'time' | 'store'>;
  /** Asked for what nobody else knows: it may be kept elsewhere, and rotate. Undefined: nobody is the administrator. */
  readonly adminToken: string | (() => Promise<string | undefined>);
  readonly admin: { readonly tenantId: string; readonly principalId: string };
  readonly users?: Authenticate | undefined;
}): Authenticate {
  const { ports, adminToken, admin } = options;
  if (adminToken === '') throw new RangeError('the admin token is empty: everybody would know it');
  const ways: readonly Authenticate[] = [
    (bearer) => identityOfKey(ports, bearer),
    async (bearer) => {
      const claims = await ports.tokens.verify(bearer, ports.time.now());
      if (claims?.kind !== 'run') return undefined;
      const { tenantId, runId, attempt, vmId } = claims;
      return { kind: 'run', tenantId, runId, attempt, vmId };
    },
    ...(options.users === undefined ? [] : [options.users]),
    async (bearer) => {
      const expected = typeof adminToken === 'string' ? adminToken : await adminToken();
      if (expected === undefined || expected === '' || !isSame(bearer, expected)) return undefined;
      return { kind: 'principal', ...admin, credentialId: 'admin_token', grants: { role: 'admin' } };
    },
  ];
  return async (bearer, noting) => {
    const failures: unknown[] = [];
    for (const ask of ways) {
      try {
        const identity = await ask(bearer, noting);
        if (identity !== undefined) return identity;
      } catch (error) {
        // Whoever cannot be asked may be the one who knows it; what somebody else knows is good all the same.
        failures.push(error);
      }
    }
    if (failures.length > 0) throw failures[0];
    return undefined;
  };
}

/** Digests have one length, so the comparison tells neither the token's length nor how much of it was right. */
const isSame = (one: string, other: string): boolean => timingSafeEqual(digest(one), digest(other));

const digest = (secret: string): Buffer => createHash('sha256').update(secret).digest();

/** @throws CandorError `unauthenticated` */
export function readBearer(request: Request): string {
  const header = request.headers.get('authorization');
  const token = header === null ? undefined : /^Bearer +([\w\-.~+/]+=*) *$/i.exec(header)?.[1];
  if (token === undefined)
    throw unauthenticated(
      header === null ? 'There is no Authorization header.' : 'The Authorization header is not a bearer token.',
    );
  return token;
}

/** @throws CandorError `unauthenticated` */
export async function readIdentity(request: Request, authenticate: Authenticate, noting?: Noting): Promise<Identity> {
  const identity = await authenticate(readBearer(request), noting);
  if (identity === undefined) throw unauthenticated('The token is not valid here, or has expired.');
  return identity;
}

type RunnerClaims<Kind extends TokenClaims['kind']> = Extract<TokenClaims, { kind: Kind }>;

/** The runner's side: each of its routes takes one kind of token, which names the VM. */
export async function readRunner<Kind extends 'registration' | 'vm'>(
  request: Request,
  ports: Pick<Ports, 'tokens' | 'time'>,
  kind: Kind,
): Promise<RunnerClaims<Kind>> {
  const claims = await ports.tokens.verify(readBearer(request), ports.time.now());
  if (claims?.kind !== kind) throw unauthenticated(`The token is not a valid ${kind} token.`);
  return claims as RunnerClaims<Kind>;
}

const unauthenticated = (detail: string) => new CandorError('unauthenticated', detail);
