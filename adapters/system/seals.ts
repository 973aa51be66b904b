/** Sealed texts, wherever their key is kept: AES-256-GCM, with what a text belongs to as authenticated data. */
import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from 'node:crypto';
import type { Seals } from '../../core/ports.ts';

const FORM = 'v1';
const CIPHER = 'aes-256-gcm';
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const KEY_BYTES_MIN = 32;

/** @param key of at least 32 bytes, asked for each time: it may have been replaced */
export function sealsWith(key: () => Promise<Uint8Array>): Seals {
  return {
    async seal(text, context) {
      const nonce = randomBytes(NONCE_BYTES);
      const cipher = createCipheriv(CIPHER, derived(await key()), nonce).setAAD(Buffer.from(context, 'utf8'));
      const content = Buffer.concat([cipher.update(text, 'utf8'), cipher.final()]);
      return `${FORM}.${Buffer.concat([nonce, cipher.getAuthTag(), content]).toString('base64url')}`;
    },
    async open(sealed, context) {
      const [form, content = ''] = sealed.split('.');
      const bytes = Buffer.from(content, 'base64url');
      if (form !== FORM || bytes.length < NONCE_BYTES + TAG_BYTES) throw new Error('it was not sealed by this program');
      const decipher = createDecipheriv(CIPHER, derived(await key()), bytes.subarray(0, NONCE_BYTES), {
        authTagLength: TAG_BYTES,
      });
      decipher.setAAD(Buffer.from(context, 'utf8'));
      decipher.setAuthTag(bytes.subarray(NONCE_BYTES, NONCE_BYTES + TAG_BYTES));
      try {
        const text = [decipher.update(bytes.subarray(NONCE_BYTES + TAG_BYTES)), decipher.final()];
        return Buffer.concat(text).toString('utf8');
      } catch (cause) {
        throw new Error('it was sealed with another key, or for something else', { cause });
      }
    },
  };
}

function derived(key: Uint8Array): Buffer {
  if (key.length < KEY_BYTES_MIN) throw new RangeError(`the sealing key has fewer than ${KEY_BYTES_MIN} bytes`);
  return Buffer.from(hkdfSync('sha256', key, '', 'candor seals v1', 32));
}
