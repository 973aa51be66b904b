/** One of the processes that play seeds for `main.ts`: asked for a play, it answers what came of it. */
import { type Job, perform } from './jobs.ts';

Error.stackTraceLimit = 0;
process.on('message', (job: Job) => {
  perform(job).then(
    (result) => process.send?.({ id: job.id, result }),
    (error: unknown) => process.send?.({ id: job.id, failed: error instanceof Error ? error.stack : String(error) }),
  );
});
// Nobody is there any more to be answered.
process.on('disconnect', () => process.exit(0));
