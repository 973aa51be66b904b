/** One of the processes that play seeds for `main.ts`: asked for a play, it answers what came of it. */
import type { Job } from './jobs.ts';
import { setTraps } from './traps.ts';

Error.stackTraceLimit = 0;
const traps = setTraps();
// Loaded with the traps in place: so what Candor does as it is loaded is found out too.
const { News, perform } = await import('./jobs.ts');
const news = new News();
process.on('message', (job: Job) => {
  perform(job, traps).then(
    (result) => process.send?.({ id: job.id, result: news.of(result) }),
    (error: unknown) => process.send?.({ id: job.id, failed: error instanceof Error ? error.stack : String(error) }),
  );
});
// Nobody is there any more to be answered.
process.on('disconnect', () => process.exit(0));
