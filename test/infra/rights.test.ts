/** Who may do what: every right of every role, so that one more, or one wider, is a change of this file too. */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { bundleLambdas } from '../../lib/bundle/lambdas.ts';
import { ROOT } from '../../lib/bundle/paths.ts';
import {
  environment,
  functionsOf,
  type Resource,
  roleIdOf,
  type Statement,
  statementsOf,
  textOf,
  variant,
} from './support.ts';

const dev = () => environment('dev');
const functions = () => functionsOf(dev(), 'candor-dev');
const rightsOf = (name: string): readonly Statement[] => statementsOf(dev().control, roleIdOf(functions().get(name)!));
const sids = (name: string) => rightsOf(name).map(({ sid }) => sid);
const variablesOf = (resource: Resource | undefined) =>
  Object.keys(resource?.Properties.Environment.Variables ?? {}).sort();

const NAMES = [
  'api',
  'audit',
  'await-ready',
  'deliver',
  'dispatch-run',
  'events',
  'execution-ended',
  'fail-run',
  'fire',
  'launch-vm',
  'register',
  'release-vm',
  'watchdog',
];
const STORE = ['WriteItsLog', 'Table', 'Indexes'];
const WORKFLOW = ['StartExecution', 'StopExecution', 'Signal'];
const FLEET = ['SeeInstances', 'EndInstances'];
const CLOCK = ['Clocks', 'GiveClocksTheirRole'];

describe('each function', () => {
  it('has a role of its own', () => {
    expect([...functions().keys()].sort()).toEqual(NAMES);
    expect(new Set([...functions().values()].map(roleIdOf)).size).toBe(NAMES.length);
  });

  it.each([
    [
      'api',
      [
        ...STORE,
        ...WORKFLOW,
        ...CLOCK,
        'Objects',
        'ListObjects',
        'SigningKey',
        'SealingKey',
        'AdminToken',
        'AgentSecrets',
      ],
    ],
    // It sends wherever people say: beyond the table it has the key to what signs, and nothing else.
    ['deliver', [...STORE, 'SealingKey', 'ReadStream', 'ListStreams']],
    ['register', [...STORE, ...WORKFLOW, 'SigningKey']],
    ['fire', [...STORE, ...WORKFLOW, 'GiveUp']],
    ['events', [...STORE, ...WORKFLOW, ...FLEET, ...CLOCK, 'ReadStream', 'ListStreams', 'GiveUp']],
    ['watchdog', [...STORE, ...WORKFLOW, 'SeeExecutions', ...FLEET, ...CLOCK]],
    ['audit', [...STORE, ...WORKFLOW, 'SeeExecutions', ...FLEET, ...CLOCK, 'SeeClocks', 'ListClocks']],
    ['execution-ended', [...STORE, ...WORKFLOW, ...FLEET, 'GiveUp']],
    ['release-vm', [...STORE, ...WORKFLOW, ...FLEET]],
    ['fail-run', [...STORE, 'StartExecution', 'StopExecution']],
    ['await-ready', [...STORE, 'Signal']],
    ['dispatch-run', STORE],
    [
      'launch-vm',
      [
        ...STORE,
        ...FLEET,
        'LaunchFrom',
        'LaunchBehind',
        'LaunchInto',
        'LaunchImages',
        'LaunchTagged',
        'LaunchRequests',
        'TagAtLaunch',
        'GiveVmsTheirRole',
      ],
    ],
  ])('%s has these rights and no others', (name, expected) => {
    expect([...sids(name)].sort()).toEqual([...expected].sort());
    for (const { actions, resources } of rightsOf(name).filter(({ sid }) => sid === 'GiveUp')) {
      expect(actions).toEqual(['sqs:SendMessage']);
      expect(resources).toEqual([expect.stringMatching(/^<\w+deadletters\w+\.Arn>$/)]);
    }
  });

  it('has no managed policy, no inline one beside it, and is trusted to Lambda alone', () => {
    for (const resource of functions().values()) {
      const role = dev()
        .control.all()
        .find(({ id }) => id === roleIdOf(resource))!.Properties;
      expect(role.ManagedPolicyArns).toBeUndefined();
      expect(role.Policies).toBeUndefined();
      expect(role.AssumeRolePolicyDocument.Statement.map((each: { Principal: unknown }) => each.Principal)).toEqual([
        { Service: 'lambda.amazonaws.com' },
      ]);
    }
  });

  it('finds the variables that its rights are about, and no others', () => {
    const store = ['CANDOR_CONFIG', 'CANDOR_METRICS_NAMESPACE', 'CANDOR_TABLE', 'CANDOR_STATE_MACHINE_ARN'];
    const fleet = ['CANDOR_INSTALLATION', 'CANDOR_LAUNCH_TEMPLATE_ID', 'CANDOR_POOLS'];
    const clock = [
      'CANDOR_FIRE_FUNCTION_ARN',
      'CANDOR_SCHEDULE_DLQ_ARN',
      'CANDOR_SCHEDULE_GROUP',
      'CANDOR_SCHEDULE_ROLE_ARN',
    ];
    const api = ['CANDOR_ADMIN_TOKEN_SECRET_ARN', 'CANDOR_BUCKET', 'CANDOR_FEATURES_SCHEDULES', 'CANDOR_SECRET_PREFIX'];
    const expected: Record<string, readonly string[]> = {
      api: [...store, ...clock, ...api, 'CANDOR_SIGNING_SECRET_ARN', 'CANDOR_SEALING_SECRET_ARN'],
      deliver: [...store, 'CANDOR_SEALING_SECRET_ARN'],
      register: [...store, 'CANDOR_SIGNING_SECRET_ARN', 'CANDOR_VM_ROLE'],
      fire: store,
      events: [...store, ...fleet, ...clock],
      watchdog: [...store, ...fleet, ...clock],
      audit: [...store, ...fleet, ...clock],
      'execution-ended': [...store, ...fleet],
      'release-vm': [...store, ...fleet],
      'fail-run': store,
      'await-ready': store,
      'dispatch-run': store,
      'launch-vm': [...store, ...fleet],
    };
    for (const [name, resource] of functions())
      expect([name, variablesOf(resource)]).toEqual([name, [...expected[name]!].sort()]);
  });

  it('may do what its code does, and no more: each call of the workflow and each port that it is composed of', () => {
    for (const name of NAMES) {
      const source = readFileSync(path.join(ROOT, 'lambdas', `${name}.ts`), 'utf8');
      const bundle = readFileSync(path.join(bundleLambdas().folderOf(name), 'index.js'), 'utf8');
      const calls = {
        StartExecution: bundle.includes('workflow.start('),
        StopExecution: bundle.includes('workflow.stop('),
        Signal: bundle.includes('workflow.signal('),
        SeeExecutions: source.includes('executionsPort'),
        EndInstances: source.includes('fleetPort'),
        Clocks: source.includes('clockPort'),
        Objects: source.includes('bucketPorts'),
        SigningKey: source.includes('tokensPort'),
        SealingKey: source.includes('webhookPorts'),
        AgentSecrets: source.includes('secretsPort'),
        AdminToken: source.includes('adminTokenSecret'),
      };
      const given = Object.fromEntries(Object.keys(calls).map((sid) => [sid, sids(name).includes(sid)]));
      expect([name, given]).toEqual([name, calls]);
    }
  });

  it('with a key of the installation, uses it through the service and never by itself', () => {
    const stacks = environment('prod');
    const keys = [...functionsOf(stacks, 'candor-prod').values()].flatMap((resource) =>
      statementsOf(stacks.control, roleIdOf(resource)).filter(({ actions }) =>
        actions.some((each) => /^kms:/.test(each)),
      ),
    );
    expect(keys.length).toBeGreaterThan(NAMES.length);
    for (const { condition } of keys)
      expect(textOf(condition.StringEquals['kms:ViaService'])).toMatch(/^(dynamodb|s3|secretsmanager)\.eu-central-1\./);
  });
});

/** Rights that AWS ties to no resource. */
const FORCED: readonly (readonly string[])[] = [
  ['ec2:DescribeInstances'],
  ['dynamodb:ListStreams'],
  ['scheduler:ListSchedules'],
  // The state machine's own: log deliveries are an account's, not a log group's.
  [
    'logs:CreateLogDelivery',
    'logs:GetLogDelivery',
    'logs:UpdateLogDelivery',
    'logs:DeleteLogDelivery',
    'logs:ListLogDeliveries',
    'logs:PutResourcePolicy',
    'logs:DescribeResourcePolicies',
    'logs:DescribeLogGroups',
  ],
];

describe('wildcards', () => {
  const all = () =>
    dev()
      .control.ofType('AWS::IAM::Role')
      .flatMap(({ id }) => statementsOf(dev().control, id));

  it('stand in no action', () => {
    for (const { actions } of all()) for (const action of actions) expect(action).not.toContain('*');
  });

  it('stand alone as a resource only where AWS knows no narrower one', () => {
    const open = all().filter(({ resources }) => resources.includes('*'));
    for (const { actions } of open) expect(FORCED).toContainEqual(actions);
  });

  it('end only names that are made later, within this installation', () => {
    const starred = new Set(
      all().flatMap(({ resources }) => resources.filter((each) => each !== '*' && each.includes('*'))),
    );
    const account = 'eu-central-1:<AWS::AccountId>';
    expect([...starred].map((each) => each.replace(/<ExportsOutput[^>]*Bucket[^>]*>/, '<bucket>')).sort()).toEqual([
      '<bucket>/*',
      'arn:aws:ec2:eu-central-1:*:image/*',
      'arn:aws:ec2:eu-central-1:*:snapshot/*',
      `arn:aws:ec2:${account}:fleet/*`,
      `arn:aws:ec2:${account}:instance/*`,
      `arn:aws:ec2:${account}:network-interface/*`,
      `arn:aws:ec2:${account}:spot-instances-request/*`,
      `arn:aws:ec2:${account}:volume/*`,
      `arn:aws:scheduler:${account}:schedule/candor-dev/*`,
      `arn:aws:secretsmanager:${account}:secret:candor-dev/agents/*`,
      `arn:aws:states:${account}:execution:candor-dev-provision-vm:*`,
    ]);
  });
});

describe('in EC2', () => {
  const own = { StringEquals: { 'ec2:ResourceTag/candor:installation': 'candor-dev' } };
  const asked = { StringEquals: { 'aws:RequestTag/candor:installation': 'candor-dev' } };

  it('only instances of this installation can be ended, by whomever', () => {
    for (const name of NAMES)
      for (const { actions, condition } of rightsOf(name))
        if (actions.includes('ec2:TerminateInstances')) expect([name, condition]).toEqual([name, own]);
  });

  it('launches come from our template, behind our group, into our subnets, with our tag on all of it', () => {
    const bySid = new Map(rightsOf('launch-vm').map((statement) => [statement.sid, statement] as const));
    for (const sid of ['LaunchFrom', 'LaunchBehind', 'LaunchInto'])
      expect([sid, bySid.get(sid)?.condition]).toEqual([sid, own]);
    expect(bySid.get('LaunchTagged')?.condition).toEqual(asked);
    expect(bySid.get('TagAtLaunch')?.condition.StringEquals).toEqual({
      ...asked.StringEquals,
      'ec2:CreateAction': ['CreateFleet', 'RunInstances'],
    });
    const unconditional = rightsOf('launch-vm').filter(
      ({ actions, condition }) => condition === undefined && actions.some((each) => each.startsWith('ec2:')),
    );
    // An image carries no tag of ours, nor does the request itself; all else that a launch touches does.
    expect(unconditional.map(({ sid }) => sid).sort()).toEqual(['LaunchImages', 'LaunchRequests']);
  });

  it('looks only into its own region', () => {
    for (const name of NAMES)
      for (const { actions, condition } of rightsOf(name))
        if (actions.some((each) => each.startsWith('ec2:Describe')))
          expect(condition).toEqual({ StringEquals: { 'aws:RequestedRegion': 'eu-central-1' } });
  });

  it('names subnets that were there already one by one', () => {
    const stacks = variant({
      network: {
        kind: 'imported',
        vpcId: 'vpc-0123456789abcdef0',
        subnets: [{ subnetId: 'subnet-0123456789abcdef0', availabilityZone: 'eu-central-1b' }],
      },
    });
    const launch = functionsOf(stacks, 'candor-test').get('launch-vm')!;
    const into = statementsOf(stacks.control, roleIdOf(launch)).find(({ sid }) => sid === 'LaunchInto');
    expect(into?.resources).toEqual(['arn:aws:ec2:eu-central-1:111122223333:subnet/subnet-0123456789abcdef0']);
  });
});

describe('roles that are passed on', () => {
  it('go to the service that they are for, and no other role can be', () => {
    const passes = NAMES.flatMap((name) => rightsOf(name).filter(({ actions }) => actions.includes('iam:PassRole')));
    expect(passes).toHaveLength(5);
    for (const { sid, resources, condition } of passes) {
      const service = textOf(condition.StringEquals['iam:PassedToService']);
      expect(service).toMatch(sid === 'GiveVmsTheirRole' ? /^ec2\./ : /^scheduler\.amazonaws\.com$/);
      expect(resources).toHaveLength(1);
      expect(resources[0]).toMatch(sid === 'GiveVmsTheirRole' ? /VmRole/ : /ScheduleRole/);
    }
  });
});

describe('agents’ secrets', () => {
  it('have a beginning that none of Candor’s own secrets has', () => {
    const prefix = functions().get('api')?.Properties.Environment.Variables.CANDOR_SECRET_PREFIX;
    expect(prefix).toBe('candor-dev/agents/');
    for (const { Properties } of dev().data.ofType('AWS::SecretsManager::Secret'))
      expect(Properties.Name.startsWith(prefix)).toBe(false);
  });
});

describe('a VM', () => {
  const role = () => dev().fleet.one('AWS::IAM::Role');

  it('may fetch what is deployed for it, by whichever version, and register, and nothing else', () => {
    const fetch = statementsOf(dev().fleet, role().id);
    expect(fetch).toHaveLength(1);
    expect(fetch[0]?.actions).toEqual(['s3:GetObject']);
    // A VM may boot from a template of before this deployment, or of one that was rolled back.
    expect(fetch[0]?.resources).toEqual(['arn:aws:s3:::cdk-hnb659fds-assets-<AWS::AccountId>-eu-central-1/*']);
    const register = dev()
      .control.ofType('AWS::IAM::Policy')
      .filter(({ Properties }) => JSON.stringify(Properties.Roles).includes('VmRole'));
    expect(register).toHaveLength(1);
    const { Statement: statements } = register[0]!.Properties.PolicyDocument;
    expect(statements).toHaveLength(1);
    expect(statements[0].Action).toBe('execute-api:Invoke');
    expect(textOf(statements[0].Resource)).toMatch(
      /^arn:aws:execute-api:eu-central-1:<AWS::AccountId>:<Api\w+>\/\$default\/POST\/runner\/v1\/register$/,
    );
  });

  it('answers to Systems Manager only where that is asked for', () => {
    expect(JSON.stringify(role().Properties.ManagedPolicyArns)).toContain('AmazonSSMManagedInstanceCore');
    expect(environment('prod').fleet.ofType('AWS::IAM::Role')[0]?.Properties.ManagedPolicyArns).toBeUndefined();
  });
});

describe('the schedules’ role', () => {
  it('is trusted to this account’s group of schedules alone, and may call fire and give up', () => {
    const role = dev()
      .control.ofType('AWS::IAM::Role')
      .find(({ id }) => id.startsWith('ScheduleRole'))!;
    const [trust] = role.Properties.AssumeRolePolicyDocument.Statement;
    expect(trust.Principal).toEqual({ Service: 'scheduler.amazonaws.com' });
    const { 'aws:SourceAccount': account, 'aws:SourceArn': arn } = trust.Condition.StringEquals;
    expect(textOf(account)).toBe('<AWS::AccountId>');
    expect(textOf(arn)).toBe('arn:aws:scheduler:eu-central-1:<AWS::AccountId>:schedule-group/candor-dev');
    const rights = statementsOf(dev().control, role.id);
    expect(rights.map(({ actions }) => actions)).toEqual([['lambda:InvokeFunction'], ['sqs:SendMessage']]);
    expect(rights[0]?.resources[0]).toMatch(/^<firefunctionFunction\w+\.Arn>$/);
  });
});

describe('the state machine’s role', () => {
  it('is trusted to this state machine alone, and may call the functions of its states', () => {
    const role = dev()
      .control.ofType('AWS::IAM::Role')
      .find(({ id }) => id.startsWith('StateMachineRole'))!;
    const [trust] = role.Properties.AssumeRolePolicyDocument.Statement;
    expect(textOf(trust.Condition.ArnEquals['aws:SourceArn'])).toMatch(/:stateMachine:candor-dev-provision-vm$/);
    const invoke = statementsOf(dev().control, role.id).filter(({ actions }) =>
      actions.includes('lambda:InvokeFunction'),
    );
    expect(invoke).toHaveLength(1);
    expect(invoke[0]?.resources.map((each) => each.replace(/function\w+/, '')).sort()).toEqual([
      '<awaitready.Arn>',
      '<dispatchrun.Arn>',
      '<failrun.Arn>',
      '<launchvm.Arn>',
      '<releasevm.Arn>',
    ]);
  });
});
