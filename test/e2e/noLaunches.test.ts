/** `candor dev --fleet none`: no command of an agent ever runs, and that is said. And how long a request may be held back. */
import fs from 'node:fs';
import path from 'node:path';
import { expect, it } from 'vitest';
import type { LogPageBody, RunBody } from '../../core/contract/runs.ts';
import { Machine, until } from './support.ts';

it('launches nothing: the run fails and says why, nothing was started, and the start has warned', {
  timeout: 120_000,
}, async () => {
  const machine = new Machine();
  const dev = await machine.start({ args: ['--fleet', 'none'], config: { maxWaitSeconds: 0.05 } });
  await until('the warning', () => dev.stderr().includes('WARNING: --fleet none'));
  const witness = path.join(machine.outside, 'witness');
  const agent = await machine.agent(['/bin/sh', '-c', `touch ${witness}`]);
  const run = await machine.post<RunBody>(`/v1/agents/${agent.id}/runs`);
  const waited = performance.now();
  await machine.get<LogPageBody>(`/v1/runs/${run.id}/logs?wait=20`);
  expect(performance.now() - waited).toBeLessThan(10_000);
  const ended = await machine.ended(run);
  expect(ended.status).toBe('failed');
  expect(ended.evidence.detail).toContain('--fleet none');
  expect(machine.processes()).toEqual([]);
  expect(fs.existsSync(witness)).toBe(false);
});
