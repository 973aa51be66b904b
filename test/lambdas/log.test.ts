import { expect, it, vi } from 'vitest';

it('blanks credentials out of whatever a function logs, errors included', async () => {
  const lines: string[] = [];
  vi.stubEnv('POWERTOOLS_DEV', 'true');
  const keep = (line: unknown) => void lines.push(String(line));
  for (const method of ['info', 'warn', 'error'] as const) vi.spyOn(console, method).mockImplementation(keep);
  const { log, logger } = await import('../../lambdas/log.ts');
  const said = 'Authorization: Bearer cAnArY and https://user:cAnArY@host/x.git';
  log.warn('test.said', { said, nested: [{ said }] });
  logger.error('test.failed', new TypeError(said, { cause: new Error(said) }));
  vi.restoreAllMocks();
  vi.unstubAllEnvs();
  expect(lines).toHaveLength(2);
  expect(lines.join('')).toContain('TypeError');
  expect(lines.join('')).toContain('Bearer ***');
  expect(lines.join('')).not.toContain('cAnArY');
});
