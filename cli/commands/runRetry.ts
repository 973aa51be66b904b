/** `candor runs retry`: an ended run, done again. */
import type { Command } from 'commander';
import { type InputOptions, readInput } from '../arguments.ts';
import type { Host } from '../session.ts';
import { examples, inputOptions, type KeyOptions, keyOption, subcommand, WAIT_HELP } from './options.ts';
import { printOrAwaitRun } from './runs.ts';

/** Adds the command to the group. */
export function addRunRetry(runs: Command, host: Host): void {
  const retry = subcommand(
    runs,
    'retry <run>',
    'do an ended run again, as a new one with its input, or with another one',
  );
  inputOptions(retry).option('--wait', WAIT_HELP);
  examples(retry, 'candor runs retry run_… --wait', 'candor runs retry run_… --input \'{"depth": 3}\'');
  host.serve<InputOptions & KeyOptions & { readonly wait?: true }>(
    keyOption(retry),
    async (session, [id = ''], options) => {
      const input = await readInput(options);
      const body = input === undefined ? {} : { input: input.value };
      const run = await session.client.call('retryRun', {
        path: { runId: id },
        body,
        idempotencyKey: options.idempotencyKey,
      });
      return printOrAwaitRun(session, run, options.wait === true);
    },
  );
}
