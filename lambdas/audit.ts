/** EventBridge (every quarter of an hour) → as much of the audit as there is time for; one that is through rests for an hour. */
import * as z from 'zod/mini';
import { auditSlice } from '../core/audit/slice.ts';
import { composed } from './ports/base.ts';
import { clockPort } from './ports/clock.ts';
import { executionsPort } from './ports/executions.ts';
import { fleetPort } from './ports/fleet.ts';
import { wrap } from './wrap.ts';

/** What is left of the function's time when it must take up no further page. */
const RESERVE_MS = 20_000;

const ports = composed((base) => ({ ...fleetPort(base), ...clockPort(), ...executionsPort() }));

export const handler = wrap(z.unknown(), (_event, context) =>
  auditSlice(ports(), {
    owner: context.functionName,
    budgetMs: Math.max(1000, context.getRemainingTimeInMillis() - RESERVE_MS),
    // Called every quarter, to the minute: the fourth call is not to find that an hour is not quite over yet.
    intervalMs: 55 * 60_000,
  }),
);
