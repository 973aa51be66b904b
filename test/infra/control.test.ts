/** The control plane's parts: who may knock, what calls what, where things go that nobody takes. */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { CoreConfig } from '../../core/config.ts';
import { bundleLambdas, lambdaNames } from '../../lib/bundle/lambdas.ts';
import { ROOT } from '../../lib/bundle/paths.ts';
import { TIMEOUT_SECONDS } from '../simulation/incarnations.ts';
import { baseInput, environment, functionsOf, temporary, textOf, userDataOf, variant } from './support.ts';

const control = () => environment('dev').control;
const functions = () => functionsOf(environment('dev'), 'candor-dev');

describe('the API', () => {
  it('lets instances register by their signature, and AWS identities in at a door of their own; the rest brings tokens', () => {
    const routes = control().ofType('AWS::ApiGatewayV2::Route');
    const integrations = new Map(
      control()
        .ofType('AWS::ApiGatewayV2::Integration')
        .map((each) => [each.id, each]),
    );
    const shown = routes.map(({ Properties }) => {
      const integration = integrations.get(textOf(Properties.Target).replace(/^integrations\/<|>$/g, ''))!;
      return [
        Properties.RouteKey,
        Properties.AuthorizationType,
        textOf(integration.Properties.IntegrationUri).replace(/^<(api|register)function.*$/, '$1'),
      ];
    });
    expect(shown.sort()).toEqual([
      ['$default', 'NONE', 'api'],
      ['ANY /iam/v1/{proxy+}', 'AWS_IAM', 'api'],
      ['ANY /runner/v1/{proxy+}', 'NONE', 'api'],
      ['POST /runner/v1/register', 'AWS_IAM', 'register'],
    ]);
  });

  it('waits no longer than API Gateway does, and no shorter than a long poll', () => {
    for (const { Properties } of control().ofType('AWS::ApiGatewayV2::Integration'))
      expect(Properties.TimeoutInMillis).toBe(29_000);
    expect(functions().get('api')?.Properties.Timeout).toBe(29);
  });

  it('and its functions take no longer than the simulated ones may', () => {
    const names: Readonly<Record<string, string>> = {
      heartbeat: 'api',
      deposit: 'api',
      launch: 'launch-vm',
      ready: 'await-ready',
      dispatch: 'dispatch-run',
      release: 'release-vm',
      fail: 'fail-run',
      ended: 'execution-ended',
    };
    const deployed = Object.keys(TIMEOUT_SECONDS).map((kind) => [
      kind,
      functions().get(names[kind] ?? kind)?.Properties.Timeout,
    ]);
    expect(Object.fromEntries(deployed)).toEqual(TIMEOUT_SECONDS);
  });

  it('logs every call, without headers and query strings, in which tokens may be', () => {
    const { AccessLogSettings, DefaultRouteSettings } = control().one('AWS::ApiGatewayV2::Stage').Properties;
    expect(AccessLogSettings.Format).toContain('$context.requestId');
    expect(AccessLogSettings.Format).not.toMatch(/header|query|authorization/i);
    expect(DefaultRouteSettings).toMatchObject({ ThrottlingRateLimit: 1000, ThrottlingBurstLimit: 1000 });
  });

  it('lets through as much as the configuration says, half of it from runners: no client uses up their share', () => {
    const { control: throttled } = variant({ throttle: { requestsPerSecond: 300, burst: 51 } });
    const { Properties, DependsOn } = throttled.one('AWS::ApiGatewayV2::Stage');
    const half = { ThrottlingRateLimit: 150, ThrottlingBurstLimit: 26 };
    expect(Properties.DefaultRouteSettings).toMatchObject(half);
    expect(Properties.RouteSettings).toEqual({ 'ANY /runner/v1/{proxy+}': half });
    const [route] = throttled
      .ofType('AWS::ApiGatewayV2::Route')
      .filter((each) => each.Properties.RouteKey === 'ANY /runner/v1/{proxy+}');
    expect(DependsOn).toContain(route?.id);
  });

  it('has one address: with a name of its own the other is closed', () => {
    const domain = {
      name: 'candor.example.com',
      certificateArn: 'arn:aws:acm:eu-central-1:111122223333:certificate/x',
    };
    const stacks = variant({ domain });
    expect(stacks.control.one('AWS::ApiGatewayV2::Api').Properties.DisableExecuteApiEndpoint).toBe(true);
    expect(stacks.control.one('AWS::ApiGatewayV2::DomainName').Properties.DomainNameConfigurations[0]).toMatchObject({
      SecurityPolicy: 'TLS_1_2',
    });
    expect(JSON.parse(userDataOf(stacks).document.write_files[0].content).apiUrl).toBe('https://candor.example.com');
    expect(control().one('AWS::ApiGatewayV2::Api').Properties.DisableExecuteApiEndpoint).toBe(false);
  });
});

describe('the functions', () => {
  it('are all those of lambdas/, on the newest Node, on arm64, with a log that ends', () => {
    expect([...functions().keys()].sort()).toEqual([...lambdaNames()]);
    for (const { Properties } of functions().values()) {
      expect(Properties).toMatchObject({ Runtime: 'nodejs24.x', Architectures: ['arm64'], Handler: 'index.handler' });
      expect(Properties.LoggingConfig.LogGroup.Ref).toBeDefined();
    }
    for (const { Properties } of control().ofType('AWS::Logs::LogGroup')) expect(Properties.RetentionInDays).toBe(7);
  });

  it('are one file each, which loads as it is and has a handler', () => {
    const folder = temporary();
    // As on Lambda: no package.json above it says that it is a module.
    writeFileSync(path.join(folder, 'package.json'), '{}');
    const require = createRequire(import.meta.url);
    for (const name of lambdaNames()) {
      const source = bundleLambdas().folderOf(name);
      expect(readdirSync(source)).toEqual(['index.js']);
      const copy = path.join(folder, `${name}.js`);
      writeFileSync(copy, readFileSync(path.join(source, 'index.js')));
      expect([name, typeof require(copy).handler]).toEqual([name, 'function']);
    }
  });

  it('get the overrides of the limits as they are configured', () => {
    const { CANDOR_CONFIG } = functions().get('fire')!.Properties.Environment.Variables;
    expect(JSON.parse(CANDOR_CONFIG)).toEqual({ maxConcurrentVmsPerTenant: 20 });
  });

  it('leave schedules alone where they are switched off', () => {
    const stacks = variant({ features: { schedules: false } });
    const { Variables } = functionsOf(stacks, 'candor-test').get('api')!.Properties.Environment;
    expect(Variables.CANDOR_FEATURES_SCHEDULES).toBe('off');
  });

  it('know every pool: each subnet with its zone, image, types and markets, within Lambda’s 4 KiB', () => {
    const stacks = variant({
      network: { kind: 'created', availabilityZones: ['eu-central-1a', 'eu-central-1b'] },
      pools: [{ ...baseInput().pools[0]!, availabilityZones: ['eu-central-1b'], markets: ['on_demand'] }],
    });
    const variables = functionsOf(stacks, 'candor-test').get('launch-vm')?.Properties.Environment.Variables;
    const pools = JSON.parse(textOf(variables.CANDOR_POOLS));
    expect(pools).toEqual([
      {
        subnetId: expect.stringContaining('Subnet2'),
        availabilityZone: 'eu-central-1b',
        architecture: 'arm64',
        imageId: 'ami-0123456789abcdef0',
        rootDevice: '/dev/xvda',
        instanceTypes: [{ type: 't4g.medium', vcpu: 2, memoryMiB: 4096 }],
        markets: ['on_demand'],
      },
    ]);
    for (const name of ['dev', 'prod']) {
      const own = functionsOf(environment(name), `candor-${name}`).get('launch-vm')!.Properties.Environment.Variables;
      // Ids that stand in at deploy are 24 characters at most, where the references here have more.
      const text = Object.entries(own).map(
        ([key, value]) => key + textOf(value).replaceAll(/<[^>]*>/g, 'x'.repeat(24)),
      );
      expect(text.join('').length).toBeLessThan(4096);
    }
  });
});

describe('what nobody takes', () => {
  it('stays in a queue for 14 days, encrypted, behind TLS', () => {
    const queues = control().ofType('AWS::SQS::Queue');
    expect(queues).toHaveLength(4);
    for (const { id, Properties } of queues) {
      expect(Properties).toMatchObject({ MessageRetentionPeriod: 1_209_600, SqsManagedSseEnabled: true });
      const policy = control()
        .ofType('AWS::SQS::QueuePolicy')
        .find((each) => JSON.stringify(each.Properties.Queues).includes(id));
      expect(policy?.Properties.PolicyDocument.Statement).toContainEqual(
        expect.objectContaining({ Effect: 'Deny', Condition: { Bool: { 'aws:SecureTransport': 'false' } } }),
      );
    }
  });

  it('of asynchronous functions goes there after two tries; a tick is not tried again', () => {
    const invocations = control().ofType('AWS::Lambda::EventInvokeConfig');
    const shown = invocations.map(({ Properties }) => [
      Properties.FunctionName.Ref.replace(/function.*/, ''),
      Properties.MaximumRetryAttempts,
      Properties.DestinationConfig === undefined
        ? 'nowhere'
        : textOf(Properties.DestinationConfig.OnFailure.Destination),
    ]);
    expect(shown.sort()).toEqual([
      ['audit', 0, 'nowhere'],
      ['deliver', 0, 'nowhere'],
      ['executionended', 2, expect.stringMatching(/^<executionendeddeadletters/)],
      ['fire', 2, expect.stringMatching(/^<firedeadletters/)],
      ['watchdog', 0, 'nowhere'],
    ]);
  });
});

describe('the stream', () => {
  const mappingOf = (name: string) =>
    control()
      .ofType('AWS::Lambda::EventSourceMapping')
      .find(({ Properties }) => textOf(Properties.FunctionName).startsWith(`<${name}function`))!;

  it('has no more readers than a shard takes', () => {
    expect(control().ofType('AWS::Lambda::EventSourceMapping')).toHaveLength(2);
  });

  it('delivers new deliveries of webhooks to deliver, which the table keeps for it anyway', () => {
    const { Properties } = mappingOf('deliver');
    expect(Properties).toMatchObject({ MaximumRetryAttempts: 0, StartingPosition: 'LATEST' });
    expect(JSON.parse(Properties.FilterCriteria.Filters[0].Pattern)).toEqual({
      eventName: ['INSERT'],
      dynamodb: { Keys: { pk: { S: [{ prefix: 'DLV#' }] } } },
    });
  });

  it('delivers events and notes alone, finds the record that fails, and puts it aside in the end', () => {
    const { Properties } = mappingOf('events');
    expect(Properties).toMatchObject({
      FunctionResponseTypes: ['ReportBatchItemFailures'],
      BisectBatchOnFunctionError: true,
      StartingPosition: 'TRIM_HORIZON',
      MaximumRetryAttempts: 20,
    });
    expect(JSON.parse(Properties.FilterCriteria.Filters[0].Pattern)).toEqual({
      eventName: ['INSERT'],
      dynamodb: { Keys: { sk: { S: [{ prefix: 'EVT#' }, { prefix: 'NOTE#' }, { prefix: 'OCC#' }] } } },
    });
    expect(textOf(Properties.DestinationConfig.OnFailure.Destination)).toMatch(/^<eventsdeadletters/);
  });
});

describe('rules', () => {
  const rule = (name: string) =>
    control()
      .ofType('AWS::Events::Rule')
      .find(({ Properties }) => Properties.Name === `candor-dev-${name}`)!.Properties;

  it('call the audit often enough that an hour’s is through within the hour', () => {
    expect(rule('audit').ScheduleExpression).toBe('rate(15 minutes)');
    expect(textOf(rule('audit').Targets[0].Arn)).toMatch(/^<auditfunction/);
  });

  it('call the watchdog every minute, for less than a minute', () => {
    expect(rule('watchdog').ScheduleExpression).toBe('rate(1 minute)');
    expect(textOf(rule('watchdog').Targets[0].Arn)).toMatch(/^<watchdogfunction/);
    expect(functions().get('watchdog')?.Properties.Timeout).toBeLessThan(60);
  });

  it('call deliver every minute, for less than a minute, and with time for a try to end in', () => {
    expect(rule('deliver').ScheduleExpression).toBe('rate(1 minute)');
    expect(textOf(rule('deliver').Targets[0].Arn)).toMatch(/^<deliverfunction/);
    const timeout = functions().get('deliver')?.Properties.Timeout;
    expect(timeout).toBeLessThan(60);
    expect(timeout).toBeGreaterThan(CoreConfig.parse({}).webhookTimeoutSeconds + 10);
  });

  it('hear of this state machine’s executions that did not succeed', () => {
    const { EventPattern, Targets } = rule('execution-ended');
    expect(EventPattern).toMatchObject({
      source: ['aws.states'],
      'detail-type': ['Step Functions Execution Status Change'],
      detail: { status: ['FAILED', 'TIMED_OUT', 'ABORTED'] },
    });
    expect(EventPattern.detail.stateMachineArn).toEqual([
      { Ref: control().one('AWS::StepFunctions::StateMachine').id },
    ]);
    expect(textOf(Targets[0].Arn)).toMatch(/^<executionendedfunction/);
    expect(textOf(Targets[0].DeadLetterConfig.Arn)).toMatch(/^<executionendeddeadletters/);
  });
});

describe('the state machine', () => {
  it('has the very name from which its ARN is made for those that it calls', () => {
    const { Properties } = control().one('AWS::StepFunctions::StateMachine');
    const { CANDOR_STATE_MACHINE_ARN } = functions().get('fire')!.Properties.Environment.Variables;
    expect(Properties.StateMachineType).toBe('STANDARD');
    expect(textOf(CANDOR_STATE_MACHINE_ARN)).toBe(
      `arn:aws:states:eu-central-1:<AWS::AccountId>:stateMachine:${Properties.StateMachineName}`,
    );
  });

  it('is the file that candor dev interprets, and logs failures without what was handed over', () => {
    const { Properties } = control().one('AWS::StepFunctions::StateMachine');
    const file = readFileSync(path.join(ROOT, 'state-machines', 'provision-vm.asl.json'), 'utf8');
    expect(JSON.parse(Properties.DefinitionString)).toEqual(JSON.parse(file));
    expect(Properties.LoggingConfiguration).toMatchObject({ Level: 'ERROR', IncludeExecutionData: false });
  });

  it('gives each function less time than its state has', () => {
    const { Properties } = control().one('AWS::StepFunctions::StateMachine');
    const states = JSON.parse(Properties.DefinitionString).States;
    for (const [placeholder, arn] of Object.entries(Properties.DefinitionSubstitutions)) {
      const name = textOf(arn).replace(/^<|function.*$/g, '');
      const state = Object.values<{ Parameters?: { FunctionName?: string }; TimeoutSeconds: number }>(states).find(
        (each) => each.Parameters?.FunctionName === `\${${placeholder}}`,
      )!;
      const [, target] = [...functions()].find(([each]) => each.replaceAll('-', '') === name)!;
      expect(target.Properties.Timeout).toBeLessThan(state.TimeoutSeconds);
    }
  });
});
