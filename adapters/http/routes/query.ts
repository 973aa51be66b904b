/** Parameters that several routes share. */
import * as z from 'zod';

const flag = z.enum(['true', 'false'], 'must be true or false').default('false');

/** Whether live runs are cancelled with what is deleted, or in its way. */
export const DeleteQuery = z
  .strictObject({ cancelRuns: flag })
  .transform(({ cancelRuns }) => ({ cancelRuns: cancelRuns === 'true' }));

/** Whether a change is only to be told, not made. */
export const PatchQuery = z.strictObject({ dryRun: flag }).transform(({ dryRun }) => ({ dryRun: dryRun === 'true' }));
