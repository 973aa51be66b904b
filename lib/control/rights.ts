/**
 * What a function may do, as capabilities: each is the rights and the environment for one port of the core, and is given
 * to the functions whose use cases reach that port. No function gets a variable or a right without the other.
 */
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
  // Every function is composed on the table and the state machine's name; what it may do there is another matter.
  target.set({
    CANDOR_TABLE: table.tableName,
    CANDOR_CONFIG: around.limits,
    CANDOR_STATE_MACHINE_ARN: around.stateMachineArn,
  });
  target.allow('Table', TABLE_ACTIONS, [table.tableArn]);
  target.allow('Indexes', ['dynamodb:Query'], around.indexArns);
  useKey(target, around, 'dynamodb');
};

/** Workflow. */
const workflow =
  (...methods: readonly ('start' | 'stop' | 'signal')[]): Give =>
  (target, around) => {
    if (methods.includes('start')) target.allow('StartExecution', ['states:StartExecution'], [around.stateMachineArn]);
    // Executions have names that are made as runs are.
    if (methods.includes('stop')) target.allow('StopExecution', ['states:StopExecution'], [around.executionArns]);
    if (methods.includes('signal')) target.allow('Signal', ['states:SendTaskSuccess'], [around.stateMachineArn]);
  };

/** Looking at instances and ending those of this installation. */
const endInstances: Give = (target, around) => {
  const { id } = around.stack.installation;
  const { launchTemplate, pools } = around.fleet;
  target.set({
    CANDOR_INSTALLATION: id,
    CANDOR_LAUNCH_TEMPLATE_ID: launchTemplate.ref,
    CANDOR_POOLS: around.stack.toJsonString(pools),
  });
  // EC2 ties no right to describe to a resource.
  target.allow('SeeInstances', ['ec2:DescribeInstances', 'ec2:DescribeInstanceStatus'], ['*'], around.inRegion);
  target.allow('EndInstances', ['ec2:TerminateInstances'], [around.ec2('instance/*')], around.ownResource);
};

/** Launching: into our subnets, from our template, with our tag on whatever comes of it. */
const launchInstances: Give = (target, around) => {
  const { fleet } = around;
  target.set({ CANDOR_API_URL: around.apiUrl });
  const launch = ['ec2:CreateFleet', 'ec2:RunInstances'];
  const template = around.ec2(`launch-template/${fleet.launchTemplate.ref}`);
  target.allow('LaunchFromTemplate', launch, [template], around.ownResource);
  const securityGroup = around.ec2(`security-group/${fleet.network.securityGroup.securityGroupId}`);
  target.allow('LaunchBehind', launch, [securityGroup], around.ownResource);
  // Subnets that were there already do not carry our tag; they are named one by one.
  const subnets = fleet.network.subnets.map(({ subnetId }) => around.ec2(`subnet/${subnetId}`));
  const { kind } = around.stack.installation.config.network;
  target.allow('LaunchInto', launch, subnets, kind === 'created' ? around.ownResource : undefined);
  // An agent may name its own image, of whichever account and with whichever snapshots.
  target.allow('LaunchImages', launch, [around.ec2Anywhere('image/*'), around.ec2Anywhere('snapshot/*')]);
  const made = ['fleet', 'instance', 'volume', 'network-interface', 'spot-instances-request'];
  const madeArns = made.map((kind) => around.ec2(`${kind}/*`));
  target.allow('LaunchTagged', launch, madeArns, around.ownRequest);
  target.allow('TagAtLaunch', ['ec2:CreateTags'], madeArns, {
    StringEquals: { ...around.ownRequest.StringEquals, 'ec2:CreateAction': ['CreateFleet', 'RunInstances'] },
  });
  target.allow('SeeFleets', ['ec2:DescribeFleets', 'ec2:DescribeFleetInstances'], ['*'], around.inRegion);
  target.allow('GiveVmsTheirRole', ['iam:PassRole'], [fleet.vmRole.roleArn], {
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
  const actions = ['Create', 'Update', 'Delete', 'Get'].map((verb) => `scheduler:${verb}Schedule`);
  // Schedules of the group, whose names are made as schedules are.
  target.allow('Clocks', actions, [parts.scheduleArns]);
  target.allow('GiveClocksTheirRole', ['iam:PassRole'], [parts.role.roleArn], {
    StringEquals: { 'iam:PassedToService': 'scheduler.amazonaws.com' },
  });
};

/** The audit looks for clocks that have no row; the right to list is one on all schedules of the group. */
const listClocks: Give = (target, around) => {
  target.allow('ListClocks', ['scheduler:ListSchedules'], [around.clock.scheduleArns]);
};

/** LogStore and ArtifactStore, presigned links included: those have the rights of whoever signs. */
const objects: Give = (target, around) => {
  const { bucket } = around.data;
  target.set({ CANDOR_BUCKET: bucket.bucketName });
  target.allow('Objects', ['s3:GetObject', 's3:PutObject'], [bucket.arnForObjects('*')]);
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

/** Who may call the API. */
const authentication: Give = (target, around) => {
  const { adminToken } = around.data;
  const { oidc } = around.stack.installation.config;
  target.set({
    CANDOR_ADMIN_TOKEN_SECRET_ARN: adminToken.secretArn,
    ...(oidc !== undefined && { CANDOR_OIDC_ISSUER: oidc.issuer, CANDOR_OIDC_AUDIENCE: oidc.audience }),
  });
  target.allow('AdminToken', ['secretsmanager:GetSecretValue'], [adminToken.secretArn]);
};

/** Secrets: those of agents, whose names people choose. Candor's own have another beginning. */
const agentSecrets: Give = (target, around) => {
  target.set({ CANDOR_SECRET_PREFIX: around.data.secretPrefix });
  target.allow('AgentSecrets', ['secretsmanager:GetSecretValue'], [around.agentSecretArns]);
};

/** Whether schedules fire at all. */
const features: Give = (target, around) => {
  target.set({ CANDOR_FEATURES_SCHEDULES: around.stack.installation.config.features.schedules ? 'on' : 'off' });
};

/** Where the API is reached from outside. */
const apiUrl: Give = (target, around) => target.set({ CANDOR_API_URL: around.apiUrl });

const endAndPlace = [store, workflow('start', 'stop', 'signal'), endInstances];

/** By the handler's file. A use case that reaches another port needs another line here. */
export const RIGHTS: Readonly<Record<string, readonly Give[]>> = {
  api: [...endAndPlace, clock, objects, signing, authentication, agentSecrets, features, apiUrl],
  register: [...endAndPlace, signing],
  fire: [...endAndPlace, features],
  events: [...endAndPlace, clock],
  watchdog: [...endAndPlace, clock, listClocks, features],
  'execution-ended': endAndPlace,
  'launch-vm': [store, endInstances, launchInstances, signing],
  'await-ready': [store, workflow('signal')],
  'dispatch-run': [store],
  'release-vm': endAndPlace,
  'fail-run': [store, workflow('start', 'stop', 'signal')],
};

export function giveRights(name: string, target: CandorFunction, around: Surroundings): void {
  const rights = RIGHTS[name];
  if (rights === undefined) throw new Error(`lambdas/${name}.ts has no line in lib/control/rights.ts`);
  for (const give of rights) give(target, around);
}
