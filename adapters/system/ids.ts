/** Randomness from the operating system. */
import { randomBytes } from 'node:crypto';
import { timeOrderedId } from '../../core/ids.ts';
import type { Ids } from '../../core/ports.ts';

export const randomIds: Ids = {
  next: (prefix, nowMs) => timeOrderedId(prefix, nowMs, randomBytes(10)),
  writer: () => randomBytes(12).toString('base64url'),
  secret: () => randomBytes(32).toString('base64url'),
};
