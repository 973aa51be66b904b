/** Parameters that several routes share. */
import * as z from 'zod';

/** Whether live runs are cancelled with what is deleted, or in its way. */
export const DeleteQuery = z
  .strictObject({ cancelRuns: z.enum(['true', 'false'], 'must be true or false').default('false') })
  .transform(({ cancelRuns }) => ({ cancelRuns: cancelRuns === 'true' }));
