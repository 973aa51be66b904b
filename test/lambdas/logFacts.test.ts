/** The operating log as saved queries and filter patterns find it: one JSON line, its facts beside the event. */
import { execFileSync } from 'node:child_process';
import path from 'node:path';
import { expect, it } from 'vitest';

const LOG = path.join(import.meta.dirname, '../../lambdas/log.ts');

const logged = (facts: object): Record<string, unknown> => {
  const program = `const { log } = await import(${JSON.stringify(LOG)}); log.info('launch.refused', ${JSON.stringify(facts)});`;
  const env = { ...process.env, POWERTOOLS_LOG_LEVEL: 'INFO', POWERTOOLS_DEV: 'false' };
  const output = execFileSync(process.execPath, ['--input-type=module', '-e', program], {
    encoding: 'utf8',
    env,
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  return JSON.parse(output) as Record<string, unknown>;
};

it('has the event as its message, and each fact under its own name', () => {
  expect(logged({ class: 'POOL', code: 'InsufficientInstanceCapacity', runId: 'run_1' })).toMatchObject({
    level: 'INFO',
    message: 'launch.refused',
    class: 'POOL',
    code: 'InsufficientInstanceCapacity',
    runId: 'run_1',
  });
});

it('keeps the name of the event from facts that bear its name: those are lost, so no fact may', () => {
  expect(logged({ message: 'what EC2 said', said: 'what EC2 said' })).toMatchObject({
    message: 'launch.refused',
    said: 'what EC2 said',
  });
});
