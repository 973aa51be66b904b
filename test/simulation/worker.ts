/** One of the processes that play seeds for `main.ts`: asked for a play, it answers what came of it. */
import { type Job, News, perform } from './jobs.ts';

Error.stackTraceLimit = 0;
const news = new News();
process.on('message', (job: Job) => {
  perform(job).then(
    (result) => process.send?.({ id: job.id, result: news.of(result) }),
    (error: unknown) => process.send?.({ id: job.id, failed: error instanceof Error ? error.stack : String(error) }),
  );
});
// Nobody is there any more to be answered.
process.on('disconnect', () => process.exit(0));
