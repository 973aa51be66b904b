/** Processes that play side by side. Whatever the order in which they answer, a seed's world is its own. */
import { type ChildProcess, fork } from 'node:child_process';
import type { Order } from './followUps.ts';
import type { JobResult } from './jobs.ts';

interface Answer {
  readonly id: number;
  readonly result?: JobResult;
  readonly failed?: string;
}

export class Pool {
  readonly #children: readonly ChildProcess[];
  #jobs = 0;

  /** @param fence taken out of what these processes load */
  constructor(size: number, fence?: string) {
    const [file, mutate] = [new URL('./worker.ts', import.meta.url), new URL('./mutate.ts', import.meta.url)];
    const options =
      fence === undefined
        ? {}
        : { execArgv: ['--import', mutate.href], env: { ...process.env, CANDOR_SIM_WITHOUT: fence } };
    this.#children = Array.from({ length: size }, () => fork(file, options));
  }

  /** Carries out jobs as they are asked for; ends where there is none left, or somebody says so. */
  async run(
    next: (worker: number) => Order | undefined,
    took: (result: JobResult, order: Order, worker: number) => 'go_on' | 'stop',
  ): Promise<void> {
    let stopped = false;
    const work = async (child: ChildProcess, worker: number) => {
      for (let order = next(worker); order !== undefined && !stopped; order = next(worker)) {
        const result = await this.#one(child, order);
        if (took(result, order, worker) === 'stop') stopped = true;
      }
    };
    await Promise.all(this.#children.map(work));
  }

  #one(child: ChildProcess, job: Order): Promise<JobResult> {
    const id = ++this.#jobs;
    return new Promise((resolve, reject) => {
      const hear = (answer: Answer) => {
        if (answer.id !== id) return;
        child.off('message', hear);
        child.off('exit', died);
        if (answer.result !== undefined) resolve(answer.result);
        else reject(new Error(`seed ${job.seed}: ${answer.failed}`));
      };
      const died = (code: number | null) => reject(new Error(`a worker has died at seed ${job.seed} with ${code}`));
      child.on('message', hear);
      child.on('exit', died);
      child.send({ ...job, id });
    });
  }

  close(): void {
    for (const child of this.#children) {
      child.removeAllListeners('exit');
      child.kill();
    }
  }
}
