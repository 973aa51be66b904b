/**
 * What a function may do, as capabilities: each is the rights and the environment for one port of the core, and is given
 * to the functions whose use cases reach that port. No function gets a variable or a right without the other.
 */
import { metricsNamespaceOf } from '../ops/alarm.ts';
import type { CandorFunction } from './function.ts';
import type { Surroundings } from './surroundings.ts';

const TABLE_ACTIONS = [
  'dynamodb:GetItem',
  'dynamodb:BatchGetItem',
  'dynamodb:Query',
  'dynamodb:PutItem',
  'dynamodb:UpdateItem',
  'dynamodb:DeleteItem',
  'dynamodb:ConditionCheckItem',
];

type Give = (target: CandorFunction, around: Surroundings) => void;

/** Services decrypt with the caller's right: it holds for them alone, never for a call to KMS itself. */
function useKey(target: CandorFunction, around: Surroundings, service: 'dynamodb' | 's3' | 'secretsmanager'): void {
  const { key } = around.data;
  if (key === undefined) return;
  const { region, urlSuffix } = around.stack;
  const actions = service === 'secretsmanager' ? ['kms:Decrypt'] : ['kms:Decrypt', 'kms:GenerateDataKey'];
  target.allow(`UseKeyFor${service}`, actions, [key.keyArn], {
    StringEquals: { 'kms:ViaService': `${service}.${region}.${urlSuffix}` },
  });
}

/** Store. Of indexes only the query: nothing is written there directly. */
const store: Give = (target, around) => {
  const { table } = around.data;
  // Every function is composed on the state machine's name too; what it may do there is another matter.
  target.set({
    CANDOR_TABLE: table.tableName,
    CANDOR_CONFIG: around.limits,
    CANDOR_STATE_MACHINE_ARN: around.stateMachineArn,
    CANDOR_METRICS_NAMESPACE: metricsNamespaceOf(around.stack.installation.id),
  });
  target.allow('Table', TABLE_ACTIONS, [table.tableArn]);
  target.allow('Indexes', ['dynamodb:Query'], around.indexArns);
  useKey(target, around, 'dynamodb');
};

/** Workflow. */
const workflow =
  (...methods: readonly ('start' | 'stop' | 'signal' | 'describe')[]): Give =>
  (target, around) => {
    if (methods.includes('start')) target.allow('StartExecution', ['states:StartExecution'], [around.stateMachineArn]);
    // Executions have names that are made as runs are.
    if (methods.includes('stop')) target.allow('StopExecution', ['states:StopExecution'], [around.executionArns]);
    if (methods.includes('describe'))
      target.allow('SeeExecutions', ['states:DescribeExecution'], [around.executionArns]);
    if (methods.includes('signal')) target.allow('Signal', ['states:SendTaskSuccess'], [around.stateMachineArn]);
  };

/** Fleet: looking at instances, and ending those of this installation. */
const fleet: Give = (target, around) => {
  const { launchTemplate, pools } = around.fleet;
  target.set({
    CANDOR_INSTALLATION: around.stack.installation.id,
    CANDOR_LAUNCH_TEMPLATE_ID: launchTemplate.ref,
    CANDOR_POOLS: around.stack.toJsonString(pools),
  });
  // EC2 ties no right to describe to a resource.
  target.allow('SeeInstances', ['ec2:DescribeInstances'], ['*'], around.inRegion);
  target.allow('EndInstances', ['ec2:TerminateInstances'], [around.ec2('instance/*')], around.ownResource);
};

/** Fleet, launching: into our subnets, from our template, with our tag on whatever comes of it. */
const launch: Give = (target, around) => {
  const { network, launchTemplate, vmRole } = around.fleet;
  const { tags } = around.stack.installation.config;
  // They stand in the launch template as well; EC2 does not say what becomes of those where a request names tags itself.
  if (Object.keys(tags).length > 0) target.set({ CANDOR_INSTANCE_TAGS: JSON.stringify(tags) });
  const actions = ['ec2:CreateFleet', 'ec2:RunInstances'];
  target.allow('LaunchFrom', actions, [around.ec2(`launch-template/${launchTemplate.ref}`)], around.ownResource);
  const securityGroup = around.ec2(`security-group/${network.securityGroup.securityGroupId}`);
  target.allow('LaunchBehind', actions, [securityGroup], around.ownResource);
  // Subnets that were there already do not carry our tag; they are named one by one.
  const subnets = network.subnets.map(({ subnetId }) => around.ec2(`subnet/${subnetId}`));
  const { kind } = around.stack.installation.config.network;
  target.allow('LaunchInto', actions, subnets, kind === 'created' ? around.ownResource : undefined);
  // An agent may name its own image, of whichever account and with whichever snapshots.
  target.allow('LaunchImages', actions, [around.ec2Anywhere('image/*'), around.ec2Anywhere('snapshot/*')]);
  const tagged = ['instance', 'volume', 'network-interface'].map((kind) => around.ec2(`${kind}/*`));
  target.allow('LaunchTagged', actions, tagged, around.ownRequest);
  target.allow('TagAtLaunch', ['ec2:CreateTags'], tagged, {
    StringEquals: { ...around.ownRequest.StringEquals, 'ec2:CreateAction': ['CreateFleet', 'RunInstances'] },
  });
  // Forms of the request itself, which carry no tag; whatever they bring into being carries ours, or is not brought.
  target.allow('LaunchRequests', actions, [around.ec2('fleet/*'), around.ec2('spot-instances-request/*')]);
  target.allow('GiveVmsTheirRole', ['iam:PassRole'], [vmRole.roleArn], {
    StringEquals: { 'iam:PassedToService': `ec2.${around.stack.urlSuffix}` },
  });
};

/** ScheduleClock. */
const clock: Give = (target, around) => {
  const { clock: parts } = around;
  target.set({
    CANDOR_SCHEDULE_GROUP: parts.groupName,
    CANDOR_SCHEDULE_ROLE_ARN: parts.role.roleArn,
    CANDOR_SCHEDULE_DLQ_ARN: parts.deadLetters.queueArn,
    CANDOR_FIRE_FUNCTION_ARN: parts.fireArn,
  });
  const actions = ['Create', 'Update', 'Delete'].map((verb) => `scheduler:${verb}Schedule`);
  // Schedules of the group, whose names are made as schedules are.
  target.allow('Clocks', actions, [parts.scheduleArns]);
  target.allow('GiveClocksTheirRole', ['iam:PassRole'], [parts.role.roleArn], {
    StringEquals: { 'iam:PassedToService': 'scheduler.amazonaws.com' },
  });
};

/** Clock, looking at what stands there. Scheduler ties no right to list to a resource. */
const seeClocks: Give = (target, around) => {
  target.allow('SeeClocks', ['scheduler:GetSchedule'], [around.clock.scheduleArns]);
  target.allow('ListClocks', ['scheduler:ListSchedules'], ['*'], around.inRegion);
};

/** LogStore and ArtifactStore, presigned links included: those have the rights of whoever signs. */
const objects: Give = (target, around) => {
  const { bucket } = around.data;
  target.set({ CANDOR_BUCKET: bucket.bucketName });
  target.allow('Objects', ['s3:GetObject', 's3:PutObject'], [bucket.arnForObjects('*')]);
  // Without it, what is not there would be answered as forbidden.
  target.allow('ListObjects', ['s3:ListBucket'], [bucket.bucketArn]);
  useKey(target, around, 's3');
};

/** Tokens. */
const signing: Give = (target, around) => {
  const { signingKey } = around.data;
  target.set({ CANDOR_SIGNING_SECRET_ARN: signingKey.secretArn });
  target.allow('SigningKey', ['secretsmanager:GetSecretValue'], [signingKey.secretArn]);
  useKey(target, around, 'secretsmanager');
};

/** Seals: webhooks' secrets, which lie in the table. */
const sealing: Give = (target, around) => {
  const { sealingKey } = around.data;
  target.set({ CANDOR_SEALING_SECRET_ARN: sealingKey.secretArn });
  target.allow('SealingKey', ['secretsmanager:GetSecretValue'], [sealingKey.secretArn]);
  useKey(target, around, 'secretsmanager');
};

/** Who may call the API. */
const authentication: Give = (target, around) => {
  const { adminToken } = around.data;
  const { oidc } = around.stack.installation.config;
  target.set({
    CANDOR_ADMIN_TOKEN_SECRET_ARN: adminToken.secretArn,
    ...(oidc !== undefined && { CANDOR_OIDC: JSON.stringify(oidc) }),
  });
  target.allow('AdminToken', ['secretsmanager:GetSecretValue'], [adminToken.secretArn]);
};

/** Secrets: those of agents, whose names people choose. Candor's own have another beginning. */
const agentSecrets: Give = (target, around) => {
  target.set({ CANDOR_SECRET_PREFIX: around.data.secretPrefix });
  target.allow('AgentSecrets', ['secretsmanager:GetSecretValue'], [around.agentSecretArns]);
};

/** Whether the API has schedules. */
const features: Give = (target, around) => {
  target.set({ CANDOR_FEATURES_SCHEDULES: around.stack.installation.config.features.schedules ? 'on' : 'off' });
};

const wholeWorkflow = workflow('start', 'stop', 'signal');

/** Whose signature a registration needs. */
const vmRole: Give = (target, around) => target.set({ CANDOR_VM_ROLE: around.fleet.vmRole.roleName });

/** By the handler's file. A use case that reaches another port needs another line here; a test compares the two. */
export const RIGHTS: Readonly<Record<string, readonly Give[]>> = {
  api: [store, wholeWorkflow, clock, objects, signing, authentication, agentSecrets, sealing, features],
  register: [store, wholeWorkflow, signing, vmRole],
  fire: [store, wholeWorkflow],
  events: [store, wholeWorkflow, fleet, clock],
  watchdog: [store, wholeWorkflow, workflow('describe'), fleet, clock],
  audit: [store, wholeWorkflow, workflow('describe'), fleet, clock, seeClocks],
  deliver: [store, sealing],
  'execution-ended': [store, wholeWorkflow, fleet],
  'launch-vm': [store, fleet, launch],
  'await-ready': [store, workflow('signal')],
  'dispatch-run': [store],
  'release-vm': [store, wholeWorkflow, fleet],
  'fail-run': [store, workflow('start', 'stop')],
};

export function giveRights(name: string, target: CandorFunction, around: Surroundings): void {
  const rights = RIGHTS[name];
  if (rights === undefined) throw new Error(`lambdas/${name}.ts has no line in lib/control/rights.ts`);
  for (const give of rights) give(target, around);
}
