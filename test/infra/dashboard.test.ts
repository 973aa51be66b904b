/** The dashboard's first row and the saved queries: what they ask for is what the code writes. */
import { globSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { EC2_ERROR_CLASSES } from '../../adapters/aws/ec2Errors.ts';
import { AlarmConfig } from '../../config/alarms.ts';
import { RUN_STATUSES } from '../../core/contract/runStatus.ts';
import { METRICS, type MetricName } from '../../core/metrics.ts';
import { LAUNCH_BACKOFF } from '../../core/vms/launchErrors.ts';
import { ROOT } from '../../lib/bundle/paths.ts';
import { metricsOf, type OneMetric } from '../../lib/ops/alarm.ts';
import { alarmCatalogue } from '../../lib/ops/catalogue.ts';
import { QUESTIONS } from '../../lib/ops/dashboardQuestions.ts';
import { QUERIES } from '../../lib/ops/queryCatalogue.ts';
import { environment, type Json, textOf } from './support.ts';

const source = globSync('{core,adapters,lambdas}/**/*.ts', { cwd: ROOT })
  .map((file) => readFileSync(path.join(ROOT, file), 'utf8'))
  .join('\n');
const SPECS = alarmCatalogue(AlarmConfig.parse(undefined).thresholds);

const widgets = (): readonly Json[] =>
  JSON.parse(textOf(environment('dev').ops.one('AWS::CloudWatch::Dashboard').Properties.DashboardBody)).widgets;

describe('the dashboard', () => {
  it('answers in its first row whether it is late, missing, stuck, failing, out of capacity', () => {
    const first = widgets().filter(({ y }) => y === 0);
    expect(first.map(({ properties }) => properties.title)).toEqual([
      'Is it late?',
      'Is something missing?',
      'Is something stuck?',
      'Is it failing?',
      'Out of capacity?',
    ]);
    expect(first.every(({ properties }) => properties.view === 'singleValue')).toBe(true);
    expect(first.reduce((sum, { width }) => sum + width, 0)).toBe(24);
  });

  it('shows below each answer the alarms that judge it, and below those all of them', () => {
    const rows = widgets().filter(({ type }) => type === 'alarm');
    expect(rows.slice(0, 5).map(({ properties }) => properties.alarms.length)).toEqual(
      QUESTIONS.map(({ alarms }) => alarms.length),
    );
    expect(rows[5].properties.alarms).toHaveLength(SPECS.length + 2);
    const names = SPECS.map(({ name }) => name);
    expect(QUESTIONS.flatMap(({ alarms }) => alarms).filter((name) => !names.includes(name))).toEqual([]);
  });

  it('searches for metrics of the catalogue by all of their dimensions', () => {
    const searches = JSON.stringify(widgets()).matchAll(
      /SEARCH\('\{\\+"([^"\\]+)\\+",([\w,]+)\} MetricName=\\+"(\w+)/g,
    );
    const found = [...searches].map(([, namespace, dimensions, metric]) => ({ namespace, dimensions, metric }));
    expect(found.length).toBeGreaterThan(4);
    for (const { namespace, dimensions, metric } of found) {
      expect(namespace).toBe('Candor/candor-dev');
      expect(dimensions).toBe(METRICS[metric as MetricName].dimensions.join(','));
    }
  });
});

describe('what metrics are asked for by', () => {
  /** Of each dimension, the values that the code writes. */
  const values: Readonly<Record<string, readonly string[]>> = {
    'LaunchFailures.class': [...Object.keys(LAUNCH_BACKOFF), 'LaunchMisconfigured'],
    'LaunchRefusals.class': [...EC2_ERROR_CLASSES.map(([, errorClass]) => errorClass), 'UNKNOWN'],
    'ClockFailures.kind': ['failed', 'rejected'],
    'RunsEnded.status': RUN_STATUSES,
  };

  it('are values that are written', () => {
    const asked: readonly OneMetric[] = [
      ...SPECS.flatMap(({ measure }) => metricsOf(measure)),
      ...QUESTIONS.flatMap((question) => question.values.map(({ measure }) => measure)),
    ];
    const pairs = asked.flatMap((each) =>
      each.from === 'candor'
        ? Object.entries(each.dimensions ?? {}).map(([name, value]) => [`${each.metric}.${name}`, value] as const)
        : [],
    );
    expect(pairs.length).toBeGreaterThan(6);
    expect(pairs.filter(([dimension, value]) => !values[dimension]?.includes(String(value)))).toEqual([]);
  });
});

describe('the saved queries', () => {
  const definitions = () => environment('dev').ops.ofType('AWS::Logs::QueryDefinition');

  it('stand in a folder of the installation, each with its question, over log groups that there are', () => {
    const { control } = environment('dev');
    expect(definitions().map(({ Properties }) => Properties.Name)).toEqual(
      QUERIES.map(({ name }) => `candor-dev/${name}`),
    );
    for (const { Properties } of definitions()) {
      expect(Properties.QueryString).toMatch(/^# .+\?\n(filter|stats) /);
      const groups: readonly Json[] = Properties.LogGroupNames;
      expect(groups.length).toBeGreaterThan(0);
      for (const group of groups) {
        const id = /Ref(\w+?Log)[0-9A-F]{8}/.exec(textOf(group))?.[1] ?? expect.fail(textOf(group));
        expect(control.ofType('AWS::Logs::LogGroup').some((each) => each.id.startsWith(id))).toBe(true);
      }
    }
  });

  /** The facts beside an event, as the code names them where it writes the line. */
  const factsOf = (message: string): string => {
    const call = new RegExp(`(?:log|logger)\\.(?:info|warn|error)\\('${message.replace('.', '\\.')}',([^;]*)`).exec(
      source,
    );
    return call?.[1] ?? expect.fail(`nothing logs ${message}`);
  };

  /** Lines whose facts are put together elsewhere. */
  const SPREAD: Readonly<Record<string, RegExp>> = {
    'watchdog.recovered': /export interface Action \{([^}]*)\}/,
    'launch.refused': /const facts = \{([^}]*said[^}]*)\}/,
    'http.internal_error': /const facts = (\{ requestId[^}]*\})/,
  };

  it('look for events that are logged, by the names of their facts', () => {
    for (const { reads } of QUERIES) {
      if (!('message' in reads)) continue;
      const text = `${factsOf(reads.message)} ${SPREAD[reads.message]?.exec(source)?.[1] ?? ''}`;
      for (const field of reads.fields)
        expect([reads.message, text]).toEqual([reads.message, expect.stringMatching(new RegExp(`\\b${field}\\b`))]);
    }
  });

  it('look for fields of the access log that API Gateway writes', () => {
    const { Format } = environment('dev').control.one('AWS::ApiGatewayV2::Stage').Properties.AccessLogSettings;
    const written = Object.keys(JSON.parse(String(Format)) as object);
    const access = QUERIES.find(({ logs }) => logs === 'access')!;
    expect('fields' in access.reads && access.reads.fields.filter((field) => !written.includes(field))).toEqual([]);
  });

  it('use no field that they do not say they read', () => {
    const own = ['@timestamp', 'level', 'message', 'function_name'];
    for (const { name, reads, lines } of QUERIES) {
      const fields = 'metric' in reads ? [reads.metric] : reads.fields;
      const text = lines.join('\n').replaceAll(/"[^"]*"|\/[^/]*\//g, '');
      const made = [...text.matchAll(/\bas (\w+)/g)].map((match) => match[1]);
      const words = [...text.matchAll(/@?\b[a-zA-Z]\w*(?:\.\w+)?/g)].map(([word]) => word.split('.')[0]);
      const grammar =
        'filter stats sort limit fields by as and or like desc asc count count_distinct sum latest max pct bin ispresent in m'.split(
          ' ',
        );
      const known = new Set([...fields, ...own, ...made, ...grammar]);
      expect([name, words.filter((word) => !known.has(word!) && !known.has(`@${word}`))]).toEqual([name, []]);
    }
  });
});
