/** What a campaign has to say for itself. */
import type { Campaign } from './campaign.ts';
import { PHASES } from './plan.ts';
import { guardsInSource, type Point, sitesInSource } from './points.ts';

/** Every failpoint with its hits and with how many died there, in each phase that it has. */
export function tableOfPoints(points: readonly Point[]): readonly string[] {
  const cell = (point: Point, phase: (typeof PHASES)[number]) =>
    (point.phases.includes(phase) ? String(point.kills.get(phase) ?? 0) : '-').padStart(7);
  return [
    `${'program'.padEnd(8)} ${'hits'.padStart(7)} ${PHASES.map((phase) => phase.padStart(7)).join('')}  failpoint (kills in each phase)`,
    ...points.map(
      (point) =>
        `${point.program.padEnd(8)} ${String(point.hits).padStart(7)} ${PHASES.map((phase) => cell(point, phase)).join('')}  ${point.name}`,
    ),
  ];
}

export function report(campaign: Campaign): readonly string[] {
  const { points, statuses, victims, findings, totals } = campaign;
  const all = points.all();
  const places = all.reduce((sum, point) => sum + point.phases.length, 0);
  const killed = all.reduce((sum, point) => sum + point.kills.size, 0);
  const sites = points.neverReached();
  const guards = points.guardsNeverReached();
  return [
    ...tableOfPoints(all),
    '',
    `Calls with an effect in the source that were never reached: ${sites.length} of ${sitesInSource().length}`,
    ...sites.map(({ where, operation }) => `  ${where} ${operation}`),
    `Guards of the core that stood in no transaction: ${guards.length} of ${guardsInSource().length}`,
    ...(guards.length > 0 ? [`  ${guards.join(', ')}`] : []),
    '',
    'Who was killed:',
    ...countsOf(victims),
    'How the runs ended:',
    ...countsOf(statuses),
    '',
    `${totals.rounds} rounds, seed ${campaign.seed}: ${totals.killsAtPoints} kills at failpoints (${killed} different ones of ${places}, at ${all.length} named points) and ${totals.randomKills} at random moments; candor dev was started ${totals.starts} times.`,
    ...(findings.length === 0 ? ['Nothing was found wrong.'] : findingsOf(campaign)),
  ];
}

const countsOf = (counts: ReadonlyMap<string, number>): readonly string[] =>
  [...counts].sort().map(([name, count]) => `  ${String(count).padStart(5)}  ${name}`);

function findingsOf({ findings, seed }: Campaign): readonly string[] {
  return [
    `${findings.length} FINDINGS:`,
    ...findings.flatMap(({ round, text, plan, folder }) => [
      `  seed ${seed}, round ${round}: ${text}`,
      `    kept in ${folder}`,
      ...plan.orders.map((order) => `    ordered ${JSON.stringify(order)}`),
      ...plan.kills.map((kill) => `    random ${JSON.stringify(kill)}`),
    ]),
    `To play it again: npm run test:crash -- --seed ${seed} --rounds ${Math.max(...findings.map(({ round }) => round))}`,
  ];
}
