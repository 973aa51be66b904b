/** EventBridge (every minute) → one tick of the watchdog. */
import * as z from 'zod';
import { tick } from '../core/watchdog/tick.ts';
import { lambdaPorts } from './ports.ts';
import { wrap } from './wrap.ts';

/** What is left of the function's time when it must stop taking up new rows. */
const RESERVE_MS = 10_000;

export const handler = wrap(z.unknown(), (_event, context) =>
  tick(lambdaPorts(), {
    owner: context.functionName,
    budgetMs: Math.max(1000, context.getRemainingTimeInMillis() - RESERVE_MS),
  }),
);
