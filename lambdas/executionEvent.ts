/** What the state machine hands to each of its functions. */
import * as z from 'zod/mini';

export const ExecutionEvent = z.looseObject({
  tenantId: z.string().check(z.minLength(1)),
  runId: z.string().check(z.minLength(1)),
  attempt: z.int().check(z.gte(1)),
});
