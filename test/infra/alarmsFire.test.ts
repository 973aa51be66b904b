/**
 * Every alarm of the template begins and ends when it should, by the rules that CloudWatch documents (see
 * `test/support/cloudwatch`), and watches what exists under that very name and set of dimensions.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { METRICS } from '../../core/metrics.ts';
import { requestDrain } from '../../core/vms/drain.ts';
import { MINUTE, running, runningRun, runRow } from '../core/support.ts';
import { warmVm } from '../core/vms/support.ts';
import type { MetricId } from '../support/cloudwatch/data.ts';
import { type TestEngine, testEngine } from '../support/world.ts';
import { awsCases, undocumented } from './alarms/awsCases.ts';
import { definitionsOf, deployed, metricsWatched } from './alarms/definitions.ts';
import { type AlarmCase, OWN_CASES } from './alarms/ownCases.ts';
import { Play } from './alarms/play.ts';
import { environment, functionsOf, type Json } from './support.ts';

const INSTALLATION = 'candor-dev';
const NAMESPACE = `Candor/${INSTALLATION}`;

const stacks = environment('dev');
const definitions = definitionsOf(stacks);
const CASES: Readonly<Record<string, AlarmCase>> = { ...OWN_CASES, ...awsCases(stacks, INSTALLATION) };
const shortName = (name: string) => name.replace(`${INSTALLATION}-`, '');

let engine: TestEngine;
beforeAll(async () => {
  engine = await testEngine();
});
afterAll(() => engine.stop());

const playFor = async ({ config = {} }: Pick<AlarmCase, 'config'>) =>
  new Play(await engine.world(config), { installation: INSTALLATION, namespace: NAMESPACE, definitions });

const usually = async (play: Play) => {
  await play.audit();
  await play.minutes(5);
};

describe.each(Object.entries(CASES))('%s', (name, alarmCase) => {
  const { before = usually, breach, clear } = alarmCase;

  it('begins when it should, calls whom its severity calls, and ends when that is over', async () => {
    const play = await playFor(alarmCase);
    await before(play);
    expect(play.state(name)).not.toBe('ALARM');
    await breach(play);
    expect(play.state(name)).toBe('ALARM');
    const calls = definitions.composites.filter(({ rule }) => rule.includes(`"${INSTALLATION}-${name}"`));
    expect(calls.map((composite) => play.state(shortName(composite.name)))).toEqual(['ALARM']);
    await clear(play);
    expect(play.state(name)).toBe('OK');
  });
});

describe('no alarm', () => {
  it('is without such a case, and no case is for an alarm that there is none of', () => {
    expect(Object.keys(CASES).sort()).toEqual(definitions.alarms.map(({ name }) => shortName(name)).sort());
  });

  it('is over a metric of our own that has no case in which the code emits it', () => {
    const own = definitions.alarms.filter((alarm) =>
      metricsWatched(alarm).some(({ metric }) => !metric.namespace.startsWith('AWS/')),
    );
    expect(own.map(({ name }) => shortName(name)).sort()).toEqual(Object.keys(OWN_CASES).sort());
  });

  it('stands while all is well for two hours', async () => {
    const play = await playFor({});
    const { world } = play;
    const { id } = await world.schedule((await world.agent()).id, { cadence: { cron: '* * * * *', timezone: 'UTC' } });
    const [atWork, drained] = [await runningRun(world), await runningRun(world)];
    await requestDrain(world.ports, world.caller, drained.vmId, { kind: 'none' });
    const warm = await warmVm(world, { warmFor: 'PT4H' });
    world.now = Math.ceil(world.now / MINUTE) * MINUTE;
    for (let quarter = 0; quarter < 8; quarter++) {
      await play.audit();
      await play.minutes(15, async () => {
        await play.fires(id);
        for (const { runner, id: runId } of [atWork, drained]) await runner.beat([running(runId)]);
        await warm.runner.beat();
      });
    }
    for (const runId of [atWork.id, drained.id]) expect((await runRow(world, runId)).status).toBe('running');
    const standing = definitions.alarms.filter(({ name }) => play.state(shortName(name)) === 'ALARM');
    expect(standing.map(({ name }) => name)).toEqual([]);
    for (const { name } of definitions.composites) expect(play.state(shortName(name))).toBe('OK');
  });
});

/** Undefined where a metric of that name and those dimensions exists. */
function fault(metric: MetricId): string | undefined {
  if (metric.namespace.startsWith('AWS/')) return undocumented(metric);
  if (metric.namespace !== NAMESPACE) return `${metric.namespace} is another namespace than ${NAMESPACE}`;
  const facts = METRICS[metric.name as keyof typeof METRICS];
  if (facts === undefined) return `${metric.name} is not in the catalogue`;
  const given = Object.keys(metric.dimensions).sort().join();
  const all = [...facts.dimensions].sort().join();
  // The total, or one value of each dimension.
  return given === '' || given === all ? undefined : `${metric.name} has the dimensions ${all}, not ${given}`;
}

describe('names and dimensions', () => {
  it('of every metric that an alarm watches exist', () => {
    const faults = definitions.alarms.flatMap((alarm) =>
      metricsWatched(alarm).flatMap(({ metric }) => {
        const found = fault(metric);
        return found === undefined ? [] : [`${alarm.name}: ${found}`];
      }),
    );
    expect(faults).toEqual([]);
  });

  it('of every metric on the dashboard exist', () => {
    const dashboards = stacks.ops.ofType('AWS::CloudWatch::Dashboard');
    const metrics = dashboards.flatMap(({ Properties }) => {
      const body = JSON.parse(deployed(stacks, stacks.ops, Properties.DashboardBody)) as Json;
      return (body.widgets as readonly Json[]).flatMap(({ properties }) => (properties.metrics ?? []).flatMap(shown));
    });
    expect(metrics.length).toBeGreaterThan(5);
    expect(metrics.flatMap((metric) => fault(metric) ?? [])).toEqual([]);
  });

  it('are those of the namespace that every function writes to', () => {
    for (const { Properties } of functionsOf(stacks, INSTALLATION).values())
      expect(Properties.Environment.Variables.CANDOR_METRICS_NAMESPACE).toBe(NAMESPACE);
  });
});

/** One line of a widget: `[namespace, name, dimension, value, …, {options}]`, or an expression over others. */
function shown(line: readonly Json[]): readonly MetricId[] {
  const texts = line.filter((each): each is string => typeof each === 'string');
  if (texts.length === 0) return [];
  const [namespace = '', name = '', ...pairs] = texts;
  if (pairs.length % 2 !== 0 || texts.some((text) => /^\.+$/.test(text)))
    throw new Error(`cannot read ${JSON.stringify(line)}`);
  const dimensions = Object.fromEntries(
    Array.from({ length: pairs.length / 2 }, (_, index) => [pairs[2 * index], pairs[2 * index + 1]] as const),
  ) as Readonly<Record<string, string>>;
  return [{ namespace, name, dimensions }];
}
