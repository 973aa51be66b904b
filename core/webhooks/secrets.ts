/** The secrets of a webhook: the newest signs, and so do older ones until their overlap is over. */
import type { Ports } from '../ports.ts';
import type { SealedSecret, WebhookRow } from './model.ts';
import { secretText } from './sign.ts';

/** With each rotation inside another's overlap one more signs; the oldest of more than these ends at once. */
const SIGNING_MAX = 3;

export const standing = (secrets: readonly SealedSecret[], now: number): readonly SealedSecret[] =>
  secrets.filter(({ endsAt }) => endsAt === undefined || endsAt > now);

const contextOf = (webhookId: string): string => `webhook ${webhookId}`;

/** Its text, which nobody can be told again, and what is kept of it. */
export async function newSecret(ports: Pick<Ports, 'ids' | 'seals'>, webhookId: string) {
  const secret = secretText(Buffer.from(ports.ids.secret(), 'base64url'));
  return { secret, sealed: await ports.seals.seal(secret, contextOf(webhookId)) };
}

/** A new one in front of those that stand, which end with the overlap. */
export function withSecret(
  secrets: readonly SealedSecret[],
  sealed: string,
  now: number,
  overlapSeconds: number,
): readonly SealedSecret[] {
  const end = now + overlapSeconds * 1000;
  const older = secrets.map((each) => ({ ...each, endsAt: Math.min(each.endsAt ?? end, end) }));
  return [{ sealed, createdAt: now }, ...standing(older, now)].slice(0, SIGNING_MAX);
}

export const openSecrets = (
  { seals }: Pick<Ports, 'seals'>,
  webhook: Pick<WebhookRow, 'id' | 'secrets'>,
  now: number,
): Promise<readonly string[]> =>
  Promise.all(standing(webhook.secrets, now).map(({ sealed }) => seals.open(sealed, contextOf(webhook.id))));
