/** The embedded metric format, by its specification in the CloudWatch user guide, and the catalogue that it writes. */
import { globSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { expect, it } from 'vitest';
import { emfMetrics } from '../../../adapters/aws/metrics.ts';
import { LocalMetrics } from '../../../adapters/local/metrics.ts';
import { METRICS, unitOf } from '../../../core/metrics.ts';

const lines: string[] = [];
const metrics = emfMetrics({ namespace: 'Candor', now: () => 1_800_000_000_000, write: (line) => lines.push(line) });

it('writes one line of JSON: the total, and each value of the dimensions', () => {
  lines.length = 0;
  metrics.put('WatchdogTicks', 1);
  metrics.put('OccurrencesDecided', 3, { disposition: 'skipped', reason: 'overlap' });
  expect(lines.map((line) => JSON.parse(line) as unknown)).toEqual([
    {
      _aws: {
        Timestamp: 1_800_000_000_000,
        CloudWatchMetrics: [
          { Namespace: 'Candor', Dimensions: [[]], Metrics: [{ Name: 'WatchdogTicks', Unit: 'Count' }] },
        ],
      },
      WatchdogTicks: 1,
    },
    {
      _aws: {
        Timestamp: 1_800_000_000_000,
        CloudWatchMetrics: [
          {
            Namespace: 'Candor',
            Dimensions: [[], ['disposition', 'reason']],
            Metrics: [{ Name: 'OccurrencesDecided', Unit: 'Count' }],
          },
        ],
      },
      disposition: 'skipped',
      reason: 'overlap',
      OccurrencesDecided: 3,
    },
  ]);
});

it('has a unit by each name, and no dimension that grows with what is scheduled', () => {
  expect(unitOf('FireLatenessSeconds')).toBe('Seconds');
  expect(unitOf('ApiLatencyMilliseconds')).toBe('Milliseconds');
  const dimensions = new Set(Object.values(METRICS).flatMap((each): readonly string[] => each.dimensions));
  expect([...dimensions].sort()).toEqual([
    'class',
    'disposition',
    'kind',
    'outcome',
    'reason',
    'rule',
    'status',
    'use',
  ]);
});

it('has no metric that nobody puts', () => {
  const root = path.join(import.meta.dirname, '../../..');
  const code = globSync('{core,adapters,lambdas,cli}/**/*.ts', { cwd: root })
    .map((file) => readFileSync(path.join(root, file), 'utf8'))
    .join('\n');
  expect(Object.keys(METRICS).filter((name) => !code.includes(`put('${name}'`))).toEqual([]);
});

it('is added up on one machine, for each value of the dimensions', () => {
  const local = new LocalMetrics();
  local.put('QueueAgeSeconds', 5);
  local.put('QueueAgeSeconds', 2);
  local.put('Recoveries', 1, { rule: 'vm_dead' });
  expect(local.totals()).toEqual([
    { name: 'QueueAgeSeconds', dimensions: {}, count: 2, sum: 7, max: 5 },
    { name: 'Recoveries', dimensions: { rule: 'vm_dead' }, count: 1, sum: 1, max: 1 },
  ]);
});
