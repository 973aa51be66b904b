/**
 * Tokens of runners and runs, signed with keys from Secrets Manager. The stack generates the first key; whoever rotates
 * puts a new one before it. The first key signs, all of them verify: so a rotation interrupts nobody.
 */
import * as z from 'zod';
import type { TokenClaims, Tokens } from '../../core/ports.ts';
import { checkKey, keyNameOf, type SigningKey, signToken, verifyToken } from '../system/jwt.ts';
import { SecretValue, type SecretValueOptions } from './secretValue.ts';

const Key = z.object({ kid: z.string().min(1).max(64), key: z.string() });
/**
 * As long as a runner's token lives unless somebody configures otherwise: who has shown one is not turned away because
 * Secrets Manager does not answer, and a key that was taken out is of no use for longer.
 */
export const KEYS_STALE_MS_MAX = 3_600_000;

/** `{"keys": [current, previous …]}`, or one key by itself: what CloudFormation's `GenerateSecretString` can write. */
const KeySet = z.union([z.object({ keys: z.array(Key).min(1).max(10) }), Key.transform((key) => ({ keys: [key] }))]);

interface Keys {
  readonly current: SigningKey;
  readonly byName: ReadonlyMap<string, SigningKey>;
}

export class SecretTokens implements Tokens {
  readonly #keys: SecretValue<Keys>;

  constructor(options: SecretValueOptions) {
    this.#keys = new SecretValue({ staleMsMax: KEYS_STALE_MS_MAX, ...options }, keysFrom);
  }

  async sign(claims: TokenClaims, expiresAt: number): Promise<string> {
    const { current } = await this.#keys.read();
    return signToken(current, claims, expiresAt);
  }

  async verify(token: string, now: number): Promise<TokenClaims | undefined> {
    const kid = keyNameOf(token);
    if (kid === undefined) return undefined;
    const known = (await this.#keys.read()).byName.get(kid);
    // Another function may have begun to sign with a key that came after we read ours.
    const key = known ?? (await this.#keys.readAgain()).byName.get(kid);
    return key === undefined ? undefined : verifyToken(key, token, now);
  }
}

/** @throws Error that says what is wrong without quoting the secret */
function keysFrom(text: string): Keys {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new Error('the signing keys are not JSON');
  }
  const parsed = KeySet.safeParse(value);
  if (!parsed.success) throw new Error('the signing keys are not {"keys": [{"kid", "key"}, …]}');
  const keys = parsed.data.keys.map(({ kid, key }) => ({ kid, key: checkKey(Buffer.from(key, 'utf8')) }));
  const [current] = keys;
  if (current === undefined) throw new Error('there is no signing key');
  return { current, byName: new Map(keys.map((key) => [key.kid, key])) };
}
