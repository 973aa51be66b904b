/**
 * What an environment of Candor says of itself, validated as a whole before anything is synthesized. A file beside this
 * one holds each environment; `docs/deploy.md` explains the choices.
 */

import * as z from 'zod';
import { CoreConfig } from '../core/config.ts';
import { ROLES } from '../core/contract/roles.ts';
import { AlarmConfig } from './alarms.ts';

export const ARCHITECTURES = ['arm64', 'x86_64'] as const;
export type Architecture = (typeof ARCHITECTURES)[number];
export const MARKETS = ['spot', 'on_demand'] as const;

/** Says what is wrong and what to write instead. */
const text = (pattern: RegExp, remedy: string) => z.string({ error: remedy }).regex(pattern, { error: remedy });

const AvailabilityZone = text(/^[a-z]{2}(-[a-z]+)+-\d[a-z]$/, 'name an availability zone, such as eu-central-1a');
const Cidr = text(/^(\d{1,3}\.){3}\d{1,3}\/\d{1,2}$/, 'give an IPv4 range, such as 10.20.0.0/16');
/** As an instance's metadata can show it, and none that EC2 or Candor gives a meaning to. */
const TagName = text(
  /^(?![aA][wW][sS]:|candor:|Name$|\.{1,2}$|_index$)[\w+\-=.,:@]{1,127}$/,
  'name a tag with letters, digits and + - = . , _ : @ (127 characters at most), and not Name, aws:… or candor:…',
);
const Sha256 = text(/^[0-9a-f]{64}$/, 'give the file’s SHA-256 as 64 hexadecimal digits');
const days = (fallback: number) => z.int().min(1).max(3650).default(fallback);

const CreatedNetwork = z.strictObject({
  kind: z.literal('created'),
  cidr: Cidr.default('10.64.0.0/16'),
  availabilityZones: z.array(AvailabilityZone).min(1, { error: 'name at least one availability zone, better three' }),
  /**
   * 0: VMs have public addresses (and no way in: no security group rule lets anything in). Otherwise they have private
   * ones and go out through so many NAT gateways, each of which costs money by the hour.
   */
  natGateways: z.int().min(0).max(6).default(0),
  /** Endpoints that cost money by the hour and keep traffic to AWS inside the VPC. The one of S3 is free and always made. */
  interfaceEndpoints: z.array(z.enum(['ssm', 'ssmmessages', 'ec2messages', 'secretsmanager'])).default([]),
});

const ImportedNetwork = z.strictObject({
  kind: z.literal('imported'),
  vpcId: text(/^vpc-[0-9a-f]{8,17}$/, 'give the id of the VPC, vpc-…'),
  subnets: z
    .array(
      z.strictObject({
        subnetId: text(/^subnet-[0-9a-f]{8,17}$/, 'give the id of the subnet, subnet-…'),
        availabilityZone: AvailabilityZone,
      }),
    )
    .min(1, { error: 'list the subnets that VMs are launched into, at least one' }),
  /** Whether instances there need a public address to reach AWS. */
  publicAddresses: z.boolean().default(false),
});

/** A kind of machine that runs may get. Every pool is offered in each of its availability zones. */
const Pool = z.strictObject({
  architecture: z.enum(ARCHITECTURES),
  instanceTypes: z
    .array(
      z.strictObject({
        type: text(/^[a-z0-9-]+\.[a-z0-9-]+$/, 'name an instance type, such as m7g.large'),
        vcpu: z.int().min(1),
        memoryMiB: z.int().min(512),
      }),
    )
    .min(1, { error: 'name at least one instance type; several make a shortage of capacity rarer' }),
  /** Absent: all of the network's. */
  availabilityZones: z.array(AvailabilityZone).min(1).optional(),
  markets: z.array(z.enum(MARKETS)).min(1).default(['spot', 'on_demand']),
});

/** What VMs boot: an AMI, or a public parameter that names one. Both need cloud-init, systemd and Python 3. */
const Image = z.union(
  [
    z.strictObject({ amiId: text(/^ami-[0-9a-f]{8,17}$/, 'give the id of the image, ami-…') }),
    z.strictObject({ ssmParameter: text(/^\/[\w./-]+$/, 'give the name of the SSM parameter, /aws/service/…') }),
  ],
  { error: 'give either amiId or ssmParameter' },
);

/** Where VMs get their Node from: the pinned archive from npm, put into the asset bucket at deploy, or a place of your own. */
const NodeBinary = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('npm') }),
  z.strictObject({
    kind: z.literal('url'),
    /** A gzipped tar with `<folder>/bin/node` in it, for each architecture that a pool has. */
    archives: z.partialRecord(z.enum(ARCHITECTURES), z.strictObject({ url: z.url(), sha256: Sha256 })),
  }),
]);

const Vm = z.strictObject({
  images: z.partialRecord(z.enum(ARCHITECTURES), Image),
  /** Of every image: the volume of this name is the one that is made larger and encrypted. */
  rootDeviceName: text(/^\/dev\/[a-z0-9]+$/, 'name the root device of the images, such as /dev/xvda').default(
    '/dev/xvda',
  ),
  diskGiB: z.int().min(8).max(16_384).default(30),
  nodeBinary: NodeBinary.default({ kind: 'npm' }),
  /** Lets operators open a shell through Systems Manager: rights for the VM's role, no port. */
  ssm: z.boolean().default(false),
  /** Where agents' processes may connect to, besides DNS. Absent: anywhere. Enforced on the VM, for them alone. */
  egressAllowList: z
    .array(z.strictObject({ cidr: Cidr, ports: z.array(z.int().min(1).max(65_535)).min(1) }))
    .max(50)
    .optional(),
});

const Domain = z.strictObject({
  name: text(/^([a-z0-9-]+\.)+[a-z]{2,}$/, 'give the full name, such as candor.example.com'),
  certificateArn: text(/^arn:[\w-]+:acm:/, 'give the ARN of an ACM certificate in the region of this environment'),
});

/**
 * What API Gateway lets through: one half from the VMs' runners, the other from everybody else together. Below the account's own limit, so
 * that an installation that is flooded leaves room for others. One caller's share is `limits.maxRequestsPerMinute`.
 */
const Throttle = z
  .strictObject({
    requestsPerSecond: z.int().min(10, { error: 'give at least 10' }).max(10_000).default(2000),
    /** So many may come at once. */
    burst: z.int().min(10, { error: 'give at least 10' }).max(5000).default(2000),
  })
  .prefault({});

const Retention = z
  .strictObject({
    /** Captured output and artifacts. Results are kept for `limits.retentionDays`. */
    logObjectsDays: days(90),
    /** CloudWatch logs of the Lambdas and of the API's access. */
    functionLogsDays: z.union([z.literal(1), z.literal(7), z.literal(30), z.literal(90), z.literal(365)]).default(30),
    /** Keep the data when the stacks are deleted. */
    keepData: z.boolean().default(true),
  })
  .prefault({});

const Features = z
  .strictObject({
    schedules: z.boolean().default(true),
    /** A KMS key of this installation for table, bucket, secrets and alarms, instead of AWS's own keys: 1 $ a month. */
    customerManagedKey: z.boolean().default(false),
    dashboard: z.boolean().default(true),
  })
  .prefault({});

const Shape = z.strictObject({
  /** Twelve digits; `current`: whichever account the deployer's credentials are for. */
  account: z.union([z.literal('current'), text(/^\d{12}$/, 'give twelve digits, or current')], {
    error: 'give the account’s twelve digits, or current for the account of your credentials',
  }),
  region: text(/^[a-z]{2}(-[a-z]+)+-\d$/, 'name a region, such as eu-central-1'),
  /** Refuses `cdk destroy` and deletion in the console, and wants an account by its number. */
  production: z.boolean().default(false),
  network: z.discriminatedUnion('kind', [CreatedNetwork, ImportedNetwork], {
    error: 'give network.kind: created or imported',
  }),
  pools: z.array(Pool).min(1, { error: 'describe at least one pool of instance types' }),
  vm: Vm,
  /** Overrides of `core/config.ts`. */
  limits: z.record(z.string(), z.unknown()).default({}),
  retention: Retention,
  features: Features,
  alarms: AlarmConfig,
  /** Whose users may call the API, beside service accounts and the administrator's token. */
  oidc: z
    .strictObject({
      issuer: z.url({ protocol: /^https$/, error: 'give the https URL that stands in the tokens as `iss`' }),
      audience: z.string({ error: 'give the `aud` that the tokens are made for' }).min(1),
      jwksUri: z.url({ protocol: /^https$/, error: 'give an https URL' }).optional(),
      tenantClaim: z.string().min(1).optional(),
      roleClaim: z.string().min(1).optional(),
      defaultRole: z.enum(ROLES, { error: `must be one of ${ROLES.join(', ')}` }).optional(),
    })
    .optional(),
  domain: Domain.optional(),
  throttle: Throttle,
  /** Put on every resource, and on VMs with their volumes and network interfaces. */
  tags: z.record(TagName, z.string().max(256)).default({}),
});

/** The zones in which VMs can be launched. */
export const zonesOf = (network: z.output<typeof Shape>['network']): readonly string[] =>
  network.kind === 'created'
    ? network.availabilityZones
    : [...new Set(network.subnets.map((subnet) => subnet.availabilityZone))];

type Complain = (path: readonly (string | number)[], message: string) => void;

function checkZones(config: z.output<typeof Shape>, complain: Complain): void {
  const zones = zonesOf(config.network);
  for (const zone of zones)
    if (!zone.startsWith(config.region))
      complain(['network'], `${zone} is not in ${config.region}; name zones of the environment’s region`);
  config.pools.forEach((pool, index) => {
    for (const zone of pool.availabilityZones ?? [])
      if (!zones.includes(zone))
        complain(
          ['pools', index, 'availabilityZones'],
          `${zone} has no subnet; add it to the network or take it out here`,
        );
  });
}

function checkImages(config: z.output<typeof Shape>, complain: Complain): void {
  config.pools.forEach((pool, index) => {
    const { architecture } = pool;
    if (config.vm.images[architecture] === undefined)
      complain(
        ['pools', index, 'architecture'],
        `vm.images has none for ${architecture}; add one or take the pool out`,
      );
    const { nodeBinary } = config.vm;
    if (nodeBinary.kind === 'url' && nodeBinary.archives[architecture] === undefined)
      complain(['vm', 'nodeBinary', 'archives'], `has none for ${architecture}, which a pool has`);
  });
}

/** A Lambda's environment holds 4 KiB: names and ARNs in it take the rest. */
const VARIABLE_BYTES_MAX = 3000;
/** Of an entry for one zone, besides its instance types: ids, names of fields, markets. */
const POOL_BYTES = 200;

function checkSize(config: z.output<typeof Shape>, complain: Complain): void {
  const zones = zonesOf(config.network).length;
  const bytesOf = (value: unknown) => Buffer.byteLength(JSON.stringify(value));
  const pools = config.pools.reduce(
    (sum, pool) => sum + (pool.availabilityZones?.length ?? zones) * (POOL_BYTES + bytesOf(pool.instanceTypes)),
    0,
  );
  const limits = bytesOf(config.limits);
  const tags = bytesOf(config.tags);
  const bytes = pools + limits + tags;
  if (bytes <= VARIABLE_BYTES_MAX) return;
  const remedy =
    pools >= tags ? `name fewer instance types or zones than these ${zones}` : 'give fewer tags, or shorter ones';
  complain(
    [pools >= tags ? 'pools' : 'tags'],
    `pools (about ${pools} bytes), limits (${limits}) and tags (${tags}) come to ${bytes} of the ${VARIABLE_BYTES_MAX} bytes that fit into a function's variables; ${remedy}`,
  );
}

/** Beside an instance's own tags, of which EC2 allows 50 in all. */
const TAGS_MAX = 40;

function checkTags(config: z.output<typeof Shape>, complain: Complain): void {
  const count = Object.keys(config.tags).length;
  if (count > TAGS_MAX) complain(['tags'], `are ${count}, ${TAGS_MAX} fit beside those of an instance; give fewer`);
}

/** As AWS publishes it, it has neither nft nor iptables, without which a VM cannot keep a list and powers itself off. */
const AMAZON_LINUX_2023 = /\/ami-amazon-linux-latest\/al2023-/;

function checkEgress(config: z.output<typeof Shape>, complain: Complain): void {
  if (config.vm.egressAllowList === undefined || config.vm.egressAllowList.length === 0) return;
  for (const architecture of new Set(config.pools.map((pool) => pool.architecture))) {
    const image = config.vm.images[architecture];
    if (image !== undefined && 'ssmParameter' in image && AMAZON_LINUX_2023.test(image.ssmParameter))
      complain(
        ['vm', 'egressAllowList'],
        `needs nft or iptables, which the Amazon Linux 2023 of vm.images.${architecture} lacks: its VMs would power themselves off at boot; name an image that has one, or take the list out`,
      );
  }
}

/** EventBridge's shortest rate. */
export const WATCHDOG_INTERVAL_SECONDS = 60;

function checkLimits(config: z.output<typeof Shape>, complain: Complain): void {
  const limits = CoreConfig.safeParse(config.limits);
  if (!limits.success) {
    for (const issue of limits.error.issues)
      complain(['limits', ...issue.path.map(String)], `${issue.message} (core/config.ts describes each limit)`);
    return;
  }
  if (limits.data.watchdogIntervalSeconds !== WATCHDOG_INTERVAL_SECONDS)
    complain(
      ['limits', 'watchdogIntervalSeconds'],
      `must be ${WATCHDOG_INTERVAL_SECONDS}: so often the rule calls it, and by this it knows a gap of its own; leave it out`,
    );
  if (limits.data.pollEvents) complain(['limits', 'pollEvents'], 'is for one machine; on AWS the table has a stream');
  const { fireLatenessSeconds } = config.alarms.thresholds;
  if (fireLatenessSeconds <= limits.data.clockPrecisionSeconds)
    complain(
      ['alarms', 'thresholds', 'fireLatenessSeconds'],
      `must be more than limits.clockPrecisionSeconds (${limits.data.clockPrecisionSeconds}): so late is in time`,
    );
  if (limits.data.sweepsGarbage)
    complain(['limits', 'sweepsGarbage'], 'is for one machine; on AWS the table has a time to live');
  if (limits.data.feedRetentionDays > limits.data.retentionDays)
    complain(['limits', 'feedRetentionDays'], 'must not be longer than limits.retentionDays');
  if (config.retention.logObjectsDays * 86_400 <= limits.data.runTimeoutSeconds)
    complain(['retention', 'logObjectsDays'], 'must be longer than limits.runTimeoutSeconds');
}

/** A heartbeat that is turned away is a lease that runs out. */
function checkThrottle(config: z.output<typeof Shape>, complain: Complain): void {
  const limits = CoreConfig.safeParse(config.limits);
  if (!limits.success) return;
  const { maxConcurrentVmsPerTenant: vms, heartbeatActiveSeconds } = limits.data;
  const least = Math.ceil((2 * (vms ?? 0)) / heartbeatActiveSeconds);
  if (config.throttle.requestsPerSecond < least)
    complain(
      ['throttle', 'requestsPerSecond'],
      `must be at least ${least}: ${vms} VMs send a heartbeat every ${heartbeatActiveSeconds} s, and half is for clients`,
    );
}

export const EnvironmentConfig = Shape.superRefine((config, context) => {
  const complain: Complain = (path, message) => context.addIssue({ code: 'custom', path: [...path], message });
  checkZones(config, complain);
  checkImages(config, complain);
  checkLimits(config, complain);
  checkSize(config, complain);
  checkTags(config, complain);
  checkEgress(config, complain);
  checkThrottle(config, complain);
  if (config.production && config.account === 'current')
    complain(['account'], 'production names its account: give its twelve digits');
  if (config.production && !config.retention.keepData)
    complain(['retention', 'keepData'], 'production keeps its data: leave it out or say true');
});

export type EnvironmentConfig = z.output<typeof EnvironmentConfig>;
export type EnvironmentInput = z.input<typeof EnvironmentConfig>;
export type PoolConfig = EnvironmentConfig['pools'][number];
