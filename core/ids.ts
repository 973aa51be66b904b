/** Ids: prefix + 26 characters of Crockford base32, 10 of time (epoch milliseconds) and 16 of randomness or hash. */
import { createHash } from 'node:crypto';

const ALPHABET = '0123456789abcdefghjkmnpqrstvwxyz';

export type IdPrefix =
  | 'agt_'
  | 'sch_'
  | 'run_'
  | 'vm_'
  | 'ses_'
  | 'prm_'
  | 'ntf_'
  | 'whk_'
  | 'bkf_'
  | 'usr_'
  | 'sac_'
  | 'iam_'
  | 'key_'
  | 'msg_';

function encodeTime(ms: number): string {
  let rest = Math.max(0, Math.floor(ms));
  let text = '';
  for (let index = 0; index < 10; index++) {
    text = ALPHABET.charAt(rest % 32) + text;
    rest = Math.floor(rest / 32);
  }
  return text;
}

/** The first 80 bits of `bytes` as 16 characters. */
function encodeTail(bytes: Uint8Array): string {
  let text = '';
  let buffer = 0;
  let bits = 0;
  for (const byte of bytes.subarray(0, 10)) {
    buffer = (buffer << 8) | byte;
    bits += 8;
    while (bits >= 5) {
      bits -= 5;
      text += ALPHABET.charAt((buffer >>> bits) & 31);
    }
  }
  return text;
}

/** An id at a time from given randomness (at least 10 bytes). */
export const timeOrderedId = (prefix: string, ms: number, entropy: Uint8Array): string =>
  prefix + encodeTime(ms) + encodeTail(entropy);

/** An id at a time that is the same for the same parts, on whichever machine it is computed. */
export const derivedId = (prefix: IdPrefix, ms: number, ...parts: readonly (string | number)[]): string =>
  timeOrderedId(prefix, ms, createHash('sha256').update(JSON.stringify(parts)).digest());

/** The run of an occurrence has one id, whoever creates it: so two deliveries cannot make two runs (I1). */
export const occurrenceRunId = (scheduleId: string, occurrenceAt: number, backfillId?: string): string =>
  derivedId('run_', occurrenceAt, 'occurrence', scheduleId, occurrenceAt, backfillId ?? '');

/** A run's attempt has one VM item, whichever execution or retry gets there first (I2). */
export const attemptVmId = (runId: string, attempt: number, createdAt: number): string =>
  derivedId('vm_', createdAt, 'vm', runId, attempt);

export const hashSecret = (secret: string): string => createHash('sha256').update(secret).digest('hex');

/** Shape of every id in the API. */
export const idPattern = (prefix: IdPrefix): RegExp => new RegExp(`^${prefix}[0-9a-hjkmnp-tv-z]{26}$`);
