/** Signatures of the Standard Webhooks specification (v1, HMAC-SHA256). Pure. */
import { createHmac } from 'node:crypto';

export const SECRET_PREFIX = 'whsec_';

/** A secret in the specification's form, from random bytes (24 to 64 of them). */
export function secretText(entropy: Uint8Array): string {
  if (entropy.length < 24 || entropy.length > 64) throw new RangeError('a webhook secret has 24 to 64 bytes');
  return `${SECRET_PREFIX}${Buffer.from(entropy).toString('base64')}`;
}

export interface Signed {
  readonly id: string;
  /** Epoch milliseconds of this very try: receivers refuse what is old. */
  readonly at: number;
  readonly payload: string;
}

/** The three headers; one signature for each secret, the newest first, so that receivers can change over in their time. */
export function signatureHeaders(secrets: readonly string[], { id, at, payload }: Signed) {
  const timestamp = String(Math.floor(at / 1000));
  const signatures = secrets.map((secret) => `v1,${signature(secret, `${id}.${timestamp}.${payload}`)}`);
  return { 'webhook-id': id, 'webhook-timestamp': timestamp, 'webhook-signature': signatures.join(' ') };
}

function signature(secret: string, content: string): string {
  const key = Buffer.from(secret.replace(SECRET_PREFIX, ''), 'base64');
  return createHmac('sha256', key).update(content, 'utf8').digest('base64');
}
