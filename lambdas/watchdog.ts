/** EventBridge (every minute) → one tick of the watchdog. */
import * as z from 'zod/mini';
import { tick } from '../core/watchdog/tick.ts';
import { composed } from './ports/base.ts';
import { clockPort } from './ports/clock.ts';
import { fleetPort } from './ports/fleet.ts';
import { wrap } from './wrap.ts';

/** What is left of the function's time when it must stop taking up new rows. */
const RESERVE_MS = 10_000;

const ports = composed((base) => ({ ...fleetPort(base), ...clockPort() }));

export const handler = wrap(z.unknown(), (_event, context) =>
  tick(ports(), {
    owner: context.functionName,
    budgetMs: Math.max(1000, context.getRemainingTimeInMillis() - RESERVE_MS),
  }),
);
