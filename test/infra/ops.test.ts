/** Alarms: made from the catalogue, over metrics that are really written, and heard by whom the environment names. */
import { describe, expect, it } from 'vitest';
import { AlarmConfig } from '../../config/alarms.ts';
import { METRICS, type MetricName } from '../../core/metrics.ts';
import { type AlarmSpec, evaluatedOn, metricsOf, SEVERITIES } from '../../lib/ops/alarm.ts';
import { alarmCatalogue } from '../../lib/ops/catalogue.ts';
import { environment, functionsOf, type Json, type Resource, type Template, textOf, variant } from './support.ts';

const SPECS = alarmCatalogue(AlarmConfig.parse(undefined).thresholds);
const ops = (name = 'dev') => environment(name).ops;
const alarms = (name = 'dev') => ops(name).ofType('AWS::CloudWatch::Alarm');
const composites = (name = 'dev') => ops(name).ofType('AWS::CloudWatch::CompositeAlarm');
const nameOf = ({ Properties }: Resource, id = 'candor-dev') => String(Properties.AlarmName).replace(`${id}-`, '');
const named = (name: string) => alarms().find((alarm) => nameOf(alarm) === name)!.Properties;
const topicNamed = (title: string, from = ops()) => ({
  Ref: from.ofType('AWS::SNS::Topic').find(({ Properties }) => Properties.DisplayName.endsWith(title))!.id,
});

const arn = (name: string) => `arn:aws:sns:eu-central-1:111122223333:${name}`;
let other: Template | undefined;
/** An environment that has everything about alarms otherwise. */
function otherwise(): Template {
  other ??= variant({
    features: { dashboard: false },
    alarms: {
      emails: ['both@example.com'],
      topicArns: [arn('both')],
      page: { emails: ['page@example.com', 'both@example.com'], topicArns: [arn('page')] },
      ticket: { topicArns: [arn('ticket')] },
      tellEach: false,
      opsItems: { page: 1 },
      runbooksUrl: 'https://git.example.com/runbooks/',
      thresholds: { queueAgeSeconds: 120, auditSilentHours: 6 },
    },
  }).ops;
  return other;
}
const otherwiseNamed = (name: string) =>
  otherwise()
    .all()
    .find(({ Properties }) => Properties?.AlarmName === `candor-test-${name}`)!.Properties;

/** Every metric that an alarm watches, as CloudWatch is told. */
const watched = (properties: Json): readonly { Namespace: string; MetricName: string; Dimensions?: Json[] }[] =>
  properties.Metrics === undefined
    ? [properties]
    : properties.Metrics.flatMap((each: Json) => each.MetricStat?.Metric ?? []);

describe('the alarms of the template', () => {
  it('are those of the catalogue, each judged as it says', () => {
    expect(alarms().map((alarm) => nameOf(alarm))).toEqual(SPECS.map(({ name }) => name));
    for (const spec of SPECS)
      expect(named(spec.name)).toMatchObject({
        Threshold: spec.threshold,
        DatapointsToAlarm: spec.points.breaching,
        EvaluationPeriods: spec.points.of,
        TreatMissingData: spec.missing,
        ComparisonOperator: spec.breaches === 'less_than' ? 'LessThanThreshold' : 'GreaterThanOrEqualToThreshold',
      });
  });

  it('watch metrics of the catalogue, in the namespace that every function writes to, by all of their dimensions or none', () => {
    const { Variables } = functionsOf(environment('dev'), 'candor-dev').get('watchdog')!.Properties.Environment;
    const own = alarms()
      .flatMap((alarm) => watched(alarm.Properties))
      .filter(({ Namespace }) => !Namespace.startsWith('AWS/'));
    expect(own.length).toBeGreaterThan(10);
    for (const { Namespace, MetricName, Dimensions = [] } of own) {
      expect(Namespace).toBe(Variables.CANDOR_METRICS_NAMESPACE);
      const { dimensions } = METRICS[MetricName as MetricName] ?? expect.fail(`there is no metric ${MetricName}`);
      const names = Dimensions.map(({ Name }) => Name);
      expect([[], [...dimensions]]).toContainEqual(names);
    }
    for (const [, { Properties }] of functionsOf(environment('dev'), 'candor-dev'))
      expect(Properties.Environment.Variables.CANDOR_METRICS_NAMESPACE).toBe('Candor/candor-dev');
  });

  it('of two installations in one account watch each its own', () => {
    const namespaces = (name: string) =>
      new Set(alarms(name).flatMap(({ Properties }) => watched(Properties).map(({ Namespace }) => Namespace)));
    expect([...namespaces('dev')]).toContain('Candor/candor-dev');
    expect([...namespaces('prod')]).not.toContain('Candor/candor-dev');
  });

  it('tell impact, first command, runbook and dashboard in what CloudWatch keeps of a text', () => {
    for (const alarm of [...alarms(), ...composites()]) {
      const text: string = alarm.Properties.AlarmDescription;
      const [impact, first, runbook, dashboard] = text.split('\n');
      expect(text.length).toBeLessThanOrEqual(1024);
      expect(impact).toMatch(/^\S.*\.$/);
      expect(first).toMatch(/^First: (candor|aws) /);
      expect(first).not.toContain('{id}');
      expect(runbook).toBe(`Runbook: docs/runbooks/${nameOf(alarm)}.md`);
      expect(dashboard).toBe(
        'Dashboard: https://eu-central-1.console.aws.amazon.com/cloudwatch/home?region=eu-central-1#dashboards/dashboard/candor-dev',
      );
    }
  });

  it('lead to where an environment keeps its runbooks, and without a dashboard to none', () => {
    expect(otherwiseNamed('scheduler-dead').AlarmDescription).toMatch(
      /\nRunbook: https:\/\/git\.example\.com\/runbooks\/scheduler-dead\.md$/,
    );
  });

  it('are refused where their text would not fit', () => {
    const runbooksUrl = `https://example.com/${'x'.repeat(1000)}`;
    expect(() => variant({ alarms: { runbooksUrl } })).toThrow(/1024 fit; shorten alarms/);
  });

  it('take thresholds from the environment', () => {
    expect(otherwiseNamed('queue-age').Threshold).toBe(120);
    expect(otherwiseNamed('audit-silent')).toMatchObject({ EvaluationPeriods: 6, DatapointsToAlarm: 6 });
  });

  it('do not take an execution that a cancel has aborted for a failure', () => {
    const states = alarms()
      .flatMap(({ Properties }) => watched(Properties))
      .filter(({ Namespace }) => Namespace === 'AWS/States');
    expect(states.map(({ MetricName }) => MetricName).sort()).toEqual(['ExecutionsFailed', 'ExecutionsTimedOut']);
  });
});

describe('the catalogue', () => {
  const spec = (name: string): AlarmSpec => SPECS.find((each) => each.name === name)!;

  it('takes silence of what must speak for the worst news', () => {
    expect(SPECS.filter(({ missing }) => missing === 'breaching').map(({ name }) => name)).toEqual([
      'scheduler-dead',
      'watchdog-dead',
      'audit-silent',
    ]);
  });

  it('lets what only a look can clear stand without one', () => {
    expect(SPECS.filter(({ missing }) => missing === 'ignore').map(({ name }) => name)).toEqual([
      'runs-stuck',
      'orphan-instances',
      'audit-missing',
      'audit-double',
      'audit-not-clean',
    ]);
  });

  it('puts metrics in one formula only where they come together, or where none is no failure', () => {
    const formulas = SPECS.filter(({ measure }) => measure.from === 'formula');
    expect(formulas.map(({ name }) => name)).toEqual(['audit-not-clean', 'api-5xx']);
    // Where all of a metric's data is missing a filled one may have none either: then that must mean the same as zero.
    const filled = formulas.filter(({ measure }) => measure.from === 'formula' && /FILL/.test(measure.formula));
    expect(filled.map(({ name, missing }) => [name, missing])).toEqual([['api-5xx', 'notBreaching']]);
  });

  it('fills with zeros what is zero without data, and not what may only be late, nor what must stand', () => {
    const raw = SPECS.filter((each) => evaluatedOn(each) === each.measure && each.measure.from !== 'formula');
    expect(raw.map(({ name }) => name).filter((name) => !name.endsWith('-dead-letters'))).toEqual([
      'scheduler-dead',
      'runs-stuck',
      'orphan-instances',
      'audit-missing',
      'audit-double',
      'events-behind',
    ]);
    expect(evaluatedOn(spec('watchdog-dead'))).toMatchObject({ from: 'formula', formula: 'FILL(measured, 0)' });
  });

  it('fits CloudWatch: periods, points and how far back both reach', () => {
    for (const { periodSeconds, points } of SPECS) {
      expect(periodSeconds % 60).toBe(0);
      expect(points.breaching).toBeLessThanOrEqual(points.of);
      // A week for periods of an hour, a day for shorter ones.
      expect(periodSeconds * points.of).toBeLessThanOrEqual(periodSeconds >= 3600 ? 604_800 : 86_400);
    }
  });

  it('watches each dead-letter queue and each part that proves its life', () => {
    const metrics = SPECS.flatMap(({ measure }) => metricsOf(measure));
    for (const queue of ['schedule', 'fire', 'events', 'execution-ended'])
      expect(metrics.filter((each) => each.from === 'queue' && each.queue === queue)).toHaveLength(2);
    expect(spec('watchdog-dead').measure).toMatchObject({ metric: 'WatchdogTicks' });
    expect(spec('audit-silent').measure).toMatchObject({ metric: 'AuditCycles' });
  });
});

describe('who hears of alarms', () => {
  it('of the page: one composite for all symptoms, and nothing else', () => {
    const page = topicNamed('pages');
    const paging = [...alarms(), ...composites()].filter(({ Properties }) =>
      JSON.stringify([Properties.AlarmActions, Properties.OKActions]).includes(page.Ref),
    );
    expect(paging.map((each) => nameOf(each))).toEqual(['page']);
    expect(paging[0]!.Properties).toMatchObject({ AlarmActions: [page], OKActions: [page] });
  });

  it('of each alarm: exactly one composite, that of its severity', () => {
    for (const severity of SEVERITIES) {
      const composite = composites().find((each) => nameOf(each) === severity)!;
      const rule = textOf(composite.Properties.AlarmRule);
      const parts = alarms().filter(({ id }) => rule.includes(`ALARM("<${id}.Arn>")`));
      expect(parts.map((each) => nameOf(each))).toEqual(
        SPECS.filter((each) => each.severity === severity).map(({ name }) => name),
      );
      expect(rule.match(/ALARM\(/g)).toHaveLength(parts.length);
      // CloudWatch takes no longer rule; an ARN has fewer than 150 characters.
      expect(parts.length).toBeLessThanOrEqual(60);
    }
  });

  it('of tickets: the composite, and each alarm by itself when it begins', () => {
    const ticket = topicNamed('tickets');
    expect(composites().find((each) => nameOf(each) === 'ticket')!.Properties).toMatchObject({
      AlarmActions: [ticket],
      OKActions: [ticket],
    });
    for (const { Properties } of alarms()) {
      expect(Properties.AlarmActions).toEqual([ticket]);
      expect(Properties.OKActions).toBeUndefined();
    }
    const quiet = otherwise().ofType('AWS::CloudWatch::Alarm');
    expect(quiet.filter(({ Properties }) => Properties.AlarmActions !== undefined)).toEqual([]);
  });

  it('is whoever the environment names, for both severities or for one', () => {
    const made = otherwise();
    const subscribed = made
      .ofType('AWS::SNS::Subscription')
      .map(({ Properties }) => [Properties.Endpoint, Properties.TopicArn]);
    expect(subscribed).toEqual(
      expect.arrayContaining([
        ['both@example.com', topicNamed('pages', made)],
        ['page@example.com', topicNamed('pages', made)],
        ['both@example.com', topicNamed('tickets', made)],
      ]),
    );
    expect(subscribed).toHaveLength(3);
    const [toPage, , , opsItem] = otherwiseNamed('page').AlarmActions;
    expect(otherwiseNamed('page').OKActions).toEqual([topicNamed('pages', made), arn('both'), arn('page')]);
    expect(toPage).toEqual(topicNamed('pages', made));
    expect(otherwiseNamed('ticket').AlarmActions).toEqual([topicNamed('tickets', made), arn('both'), arn('ticket')]);
    // Systems Manager too, where the environment gives a severity.
    expect(JSON.stringify(opsItem)).toContain('opsitem:1#CATEGORY=Availability');
  });

  it('gets it from topics that take nothing without TLS, and whose key alarms may use', () => {
    const { data, ops: made } = environment('prod');
    const policies = made.ofType('AWS::SNS::TopicPolicy');
    expect(policies).toHaveLength(2);
    for (const { Properties } of policies) {
      const statements = Properties.PolicyDocument.Statement;
      expect(JSON.stringify(statements)).toContain('"aws:SecureTransport":"false"');
      // A policy of its own stands in place of SNS's, which lets the account's alarms in.
      expect(statements).toContainEqual(
        expect.objectContaining({
          Effect: 'Allow',
          Action: 'sns:Publish',
          Principal: { Service: 'cloudwatch.amazonaws.com' },
          Condition: { StringEquals: { 'aws:SourceAccount': '444455556666' } },
        }),
      );
    }
    for (const { Properties } of made.ofType('AWS::SNS::Topic'))
      expect(textOf(Properties.KmsMasterKeyId)).toMatch(/Key/);
    expect(data.one('AWS::KMS::Key').Properties.KeyPolicy.Statement).toContainEqual(
      expect.objectContaining({
        Principal: { Service: 'cloudwatch.amazonaws.com' },
        Action: ['kms:Decrypt', 'kms:GenerateDataKey'],
        Condition: { StringEquals: { 'aws:SourceAccount': '444455556666' } },
      }),
    );
  });
});
