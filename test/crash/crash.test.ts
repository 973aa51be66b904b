/** The short form of `npm run test:crash`: some seconds of kills at named points and at random moments. */
import { expect, it } from 'vitest';
import { Campaign } from './campaign.ts';
import { guardsInSource, sitesInSource } from './points.ts';

it('says the truth about every run, whichever of its processes are killed at whichever point', {
  timeout: 240_000,
}, async () => {
  const campaign = new Campaign({
    seed: 7,
    rounds: 3,
    recordingRounds: 1,
    roundsPerFolder: 4,
    ordersPerRound: 6,
    runsPerRound: 4,
    limitMs: 15_000,
    say: () => undefined,
  });
  await campaign.play();
  expect(campaign.findings).toEqual([]);
  expect(campaign.totals.killsAtPoints).toBeGreaterThan(0);
  expect(campaign.points.all().length).toBeGreaterThan(80);
});

it('finds the calls and the guards in the source that the report counts', () => {
  const sites = sitesInSource();
  const inFile = (file: string) =>
    sites.filter(({ where }) => where.startsWith(`${file}:`)).map((site) => site.operation);
  expect(inFile('adapters/local/supervisor.ts')).toContain('spawn');
  expect(inFile('runner/files.ts')).toEqual(expect.arrayContaining(['fsyncSync', 'renameSync', 'linkSync', 'rmSync']));
  expect(guardsInSource()).toEqual(expect.arrayContaining(['dispatch.noMarker', 'run.unchanged']));
});
