/**
 * Who gets into a fresh installation: the holder of the token that its stack generated, as the one administrator of its one
 * tenant; runs, by the tokens that they carry; service accounts by their keys; and users of the identity provider.
 */
import { BOOTSTRAP_TENANT, ensurePrincipal, LOCAL_ADMIN } from '../../core/access/principals.ts';
import { CandorError } from '../../core/errors.ts';
import type { Ports } from '../../core/ports.ts';
import { type Authenticate, composeAuthenticate } from './authenticate.ts';

const ADMIN_TOKEN_CHARACTERS_MIN = 32;

/**
 * @param readAdminToken undefined where the installation has no such token; what it answers is not kept here
 * @throws CandorError `try_again` (from the answer) where the token cannot be read just now
 */
export function bootstrapAuthenticate(
  ports: Pick<Ports, 'tokens' | 'time' | 'store' | 'log'>,
  readAdminToken: (() => Promise<string>) | undefined,
  users?: Authenticate,
): Authenticate {
  const admin = { tenantId: BOOTSTRAP_TENANT, principalId: LOCAL_ADMIN };
  let isKnown = false;
  const adminToken = async (): Promise<string | undefined> => {
    if (readAdminToken === undefined) return undefined;
    const token = await readAdminToken().catch((error: unknown) => {
      ports.log.error('authenticate.admin_secret_unreadable', { error: String(error) });
      throw new CandorError('try_again', 'Credentials cannot be checked just now.', { remedy: 'Send it again later.' });
    });
    if (token.length >= ADMIN_TOKEN_CHARACTERS_MIN) return token;
    ports.log.error('authenticate.admin_secret_too_short', { charactersMin: ADMIN_TOKEN_CHARACTERS_MIN });
    return undefined;
  };
  const authenticate = composeAuthenticate({ ports, adminToken, admin, users });
  return async (bearer, noting) => {
    const identity = await authenticate(bearer, noting);
    if (identity?.kind === 'principal' && identity.principalId === LOCAL_ADMIN && !isKnown) {
      // Schedules fire as the one who made them: so that one must be there, before the first schedule is.
      await ensurePrincipal(ports.store, BOOTSTRAP_TENANT, LOCAL_ADMIN, 'Administrator');
      isKnown = true;
    }
    return identity;
  };
}
