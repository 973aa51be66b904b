/** Alarms: each has somebody who hears it and a page that says what to do. */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { ROOT } from '../../lib/bundle/paths.ts';
import { environment, textOf, variant } from './support.ts';

const alarms = (name = 'dev') => environment(name).ops.ofType('AWS::CloudWatch::Alarm');
const named = (name: string) =>
  alarms().find(({ Properties }) => Properties.AlarmName === `candor-dev-${name}`)!.Properties;

describe('alarms', () => {
  it('are these', () => {
    expect(
      alarms()
        .map(({ Properties }) => Properties.AlarmName.replace('candor-dev-', ''))
        .sort(),
    ).toEqual([
      'api-5xx',
      'clock-dropped',
      'events-behind',
      'events-dead-letters',
      'events-errors',
      'execution-ended-dead-letters',
      'execution-ended-errors',
      'executions-failed',
      'fire-dead-letters',
      'fire-errors',
      'launch-misconfigured',
      'launch-quota',
      'launch-unknown-code',
      'register-errors',
      'schedule-dead-letters',
      'watchdog-silent',
    ]);
  });

  it('each tell the topic when they begin and end, and point to their section of the runbooks', () => {
    const runbooks = readFileSync(path.join(ROOT, 'docs/runbooks.md'), 'utf8');
    const topic = { Ref: environment('dev').ops.one('AWS::SNS::Topic').id };
    for (const { Properties } of alarms()) {
      expect(Properties.AlarmActions).toEqual([topic]);
      expect(Properties.OKActions).toEqual([topic]);
      const anchor = /docs\/runbooks\.md#([\w-]+)$/.exec(Properties.AlarmDescription)?.[1];
      expect(runbooks).toContain(`\n## ${anchor}\n`);
    }
  });

  it('watch the watchdog by its absence: no tick that ended well, or no data at all', () => {
    const alarm = named('watchdog-silent');
    expect(alarm).toMatchObject({
      ComparisonOperator: 'LessThanThreshold',
      Threshold: 1,
      EvaluationPeriods: 3,
      TreatMissingData: 'breaching',
    });
    expect(alarm.Metrics.find((each: { Expression?: string }) => each.Expression !== undefined).Expression).toBe(
      'FILL(invocations, 0) - FILL(errors, 0)',
    );
  });

  it('do not take an execution that a cancel has aborted for a failure', () => {
    const metrics = named('executions-failed').Metrics.flatMap(
      (each: { MetricStat?: { Metric: { MetricName: string } } }) => each.MetricStat?.Metric.MetricName ?? [],
    );
    expect(metrics.sort()).toEqual(['ExecutionsFailed', 'ExecutionsTimedOut']);
  });
});

describe('who hears of them', () => {
  it('is whoever the environment names', () => {
    const topicArn = 'arn:aws:sns:eu-central-1:111122223333:on-call';
    const { ops } = variant({ alarms: { emails: ['a@example.com'], topicArns: [topicArn] } });
    expect(ops.one('AWS::SNS::Subscription').Properties).toMatchObject({
      Protocol: 'email',
      Endpoint: 'a@example.com',
    });
    for (const { Properties } of ops.ofType('AWS::CloudWatch::Alarm'))
      expect(Properties.AlarmActions).toContain(topicArn);
  });

  it('gets it from a topic that takes nothing without TLS, and whose key alarms may use', () => {
    const statements = environment('prod').ops.one('AWS::SNS::TopicPolicy').Properties.PolicyDocument.Statement;
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
    const { data, ops } = environment('prod');
    expect(textOf(ops.one('AWS::SNS::Topic').Properties.KmsMasterKeyId)).toMatch(/Key/);
    expect(data.one('AWS::KMS::Key').Properties.KeyPolicy.Statement).toContainEqual(
      expect.objectContaining({
        Principal: { Service: 'cloudwatch.amazonaws.com' },
        Action: ['kms:Decrypt', 'kms:GenerateDataKey'],
        Condition: { StringEquals: { 'aws:SourceAccount': '444455556666' } },
      }),
    );
  });
});
