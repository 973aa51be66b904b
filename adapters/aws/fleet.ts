/**
 * The fleet on EC2: a VM is an instance, launched by CreateFleet of type `instant`, known by its tags.
 *
 * An instance in the answer is success, whatever `Errors` says (design.md §5.3). Nothing here is tried twice but by the
 * state machine, which knows how long a run may still wait.
 */
import {
  CreateFleetCommand,
  type CreateFleetCommandInput,
  type CreateFleetCommandOutput,
  type CreateFleetError,
  type EC2Client,
} from '@aws-sdk/client-ec2';
import type { Market } from '../../core/contract/agentParts.ts';
import type { Metrics } from '../../core/metrics.ts';
import type {
  Fleet,
  InstanceObservation,
  Launched,
  LaunchNeeds,
  LaunchPlan,
  LaunchPool,
  LaunchSpec,
  ListedInstance,
  Log,
  Store,
  Time,
} from '../../core/ports.ts';
import type { Page } from '../../core/table/model.ts';
import { type LaunchFailed, LaunchMisconfigured, LaunchPaced, type Tried } from '../../core/vms/launchErrors.ts';
import { classOf, type LaunchErrorClass, launchError, mostHopeful } from './ec2Errors.ts';
import { FleetMemory } from './fleetMemory.ts';
import { Instances, TAGS } from './instances.ts';
import { marketsFor, type PoolConfig, poolsFor } from './pools.ts';

export interface Ec2FleetOptions {
  readonly client: EC2Client;
  readonly store: Store;
  readonly time: Pick<Time, 'now' | 'sleep'>;
  readonly log: Log;
  readonly metrics: Metrics;
  /** What every instance of ours is tagged with, and every call that ends one is conditioned on. */
  readonly installation: string;
  /** Further ones for instances. They never stand for one of our own. */
  readonly tags?: Readonly<Record<string, string>>;
  readonly template: { readonly id: string; readonly version: string };
  readonly pools: readonly PoolConfig[];
  readonly launchesPerSecond: number;
  readonly launchBurst: number;
}

/** CreateFleet takes 50 launch templates and 300 overrides; a plan is kept on the VM's item until it is answered. */
const PLAN_POOLS_MAX = 40;
/** A profile, role or template that was just deployed may not be known everywhere in EC2 for some seconds. */
const SETTLING_TRIES = 4;
const SETTLING = /invalid iam instance profile/i;
const MARKET_NAMES = { spot: 'spot', on_demand: 'on-demand' } as const satisfies Record<Market, string>;

export class Ec2Fleet implements Fleet {
  readonly #options: Ec2FleetOptions;
  readonly #memory: FleetMemory;
  readonly #instances: Instances;

  constructor(options: Ec2FleetOptions) {
    this.#options = options;
    this.#memory = new FleetMemory(options);
    this.#instances = new Instances(options);
  }

  async plan(needs: LaunchNeeds): Promise<LaunchPlan> {
    const candidates = this.#candidates(needs);
    if (candidates.every(({ pools }) => pools.length === 0))
      throw new LaunchMisconfigured(
        `no pool of this installation has what the agent requires (${JSON.stringify(needs)})`,
      );
    const unavailable = await this.#memory.unavailable();
    const leftOut: Tried[] = [];
    for (const { market, pools } of candidates) {
      const open: LaunchPool[] = [];
      for (const pool of pools) {
        const code = unavailable.pool(pool, market);
        if (code === undefined) open.push(pool);
        else leftOut.push(triedOf(pool, market, code));
      }
      if (open.length === 0) continue;
      const waitMs = await this.#memory.takeLaunch();
      if (waitMs !== undefined)
        throw new LaunchPaced(`Candor launches at most ${this.#options.launchesPerSecond} VMs a second`);
      const left = leftOut.slice(0, PLAN_POOLS_MAX);
      return { market, pools: open.slice(0, PLAN_POOLS_MAX), ...(left.length > 0 && { leftOut: left }) };
    }
    const heard = mostHopeful(leftOut.map(({ code }) => classOf(code)));
    // The account gets no spot instance, and what was asked for is one: then it is a quota like any other.
    throw launchError(heard === 'SPOT' ? 'QUOTA' : heard, leftOut, 'all of it a moment ago, so nothing was asked for');
  }

  async launch(spec: LaunchSpec): Promise<Launched> {
    const market = spec.plan.market ?? 'on_demand';
    let answer: CreateFleetCommandOutput;
    try {
      answer = await this.#options.client.send(new CreateFleetCommand(this.#request(spec, market)));
    } catch (error) {
      return this.#thrown(error, spec, market);
    }
    const launched = await this.#launched(answer, spec.vmId);
    if (launched !== undefined) return launched;
    throw await this.#refused(answer, spec, market);
  }

  observe(vmId: string, instanceId: string | undefined, launchedAt?: number): Promise<InstanceObservation> {
    return this.#instances.observe(vmId, instanceId, launchedAt);
  }

  terminate(vmId: string, instanceId: string | undefined): Promise<void> {
    return this.#instances.terminate(vmId, instanceId);
  }

  list(after?: string): Promise<Page<ListedInstance>> {
    return this.#instances.list(after);
  }

  terminateInstance({ instanceId }: Pick<ListedInstance, 'instanceId'>): Promise<void> {
    return this.#instances.terminateOne(instanceId);
  }

  #candidates(needs: LaunchNeeds): readonly { readonly market: Market; readonly pools: readonly LaunchPool[] }[] {
    const { pools, template } = this.#options;
    return marketsFor(pools, needs).map((market) => ({ market, pools: poolsFor(pools, template, needs, market) }));
  }

  #request(spec: LaunchSpec, market: Market): CreateFleetCommandInput {
    const byTemplate = Map.groupBy(spec.plan.pools, ({ template }) => `${template.id} ${template.version}`);
    return {
      Type: 'instant',
      // fence: fence.clientToken
      ClientToken: spec.clientToken,
      TargetCapacitySpecification: { TotalTargetCapacity: 1, DefaultTargetCapacityType: MARKET_NAMES[market] },
      ...(market === 'spot'
        ? { SpotOptions: { AllocationStrategy: 'capacity-optimized-prioritized' as const } }
        : { OnDemandOptions: { AllocationStrategy: 'prioritized' as const } }),
      LaunchTemplateConfigs: [...byTemplate.values()].map((pools) => ({
        LaunchTemplateSpecification: {
          LaunchTemplateId: pools[0]?.template.id,
          Version: pools[0]?.template.version,
        },
        Overrides: pools.map((pool) => ({
          InstanceType: pool.type as never,
          SubnetId: pool.subnetId,
          Priority: spec.plan.pools.indexOf(pool),
          ...(pool.imageId !== undefined && { ImageId: pool.imageId }),
          ...(pool.disk !== undefined && {
            BlockDeviceMappings: [{ DeviceName: pool.disk.device, Ebs: { VolumeSize: pool.disk.sizeGiB } }],
          }),
        })),
      })),
      TagSpecifications: [{ ResourceType: 'instance', Tags: this.#tags(spec) }],
    };
  }

  #tags(spec: LaunchSpec): { readonly Key: string; readonly Value: string }[] {
    const tags = {
      ...this.#options.tags,
      [TAGS.installation]: this.#options.installation,
      [TAGS.vm]: spec.vmId,
      [TAGS.tenant]: spec.tenantId,
      [TAGS.agent]: spec.agentId,
      [TAGS.run]: spec.runId,
      [TAGS.attempt]: String(spec.attempt),
      Name: `candor ${this.#options.installation} ${spec.vmId}`,
    };
    return Object.entries(tags).map(([Key, Value]) => ({ Key, Value }));
  }

  /** The first instance is the VM; any further one was never asked for. */
  async #launched(answer: CreateFleetCommandOutput, vmId: string): Promise<Launched | undefined> {
    const found = (answer.Instances ?? []).flatMap((each) =>
      (each.InstanceIds ?? []).map((instanceId) => ({ instanceId, ...each })),
    );
    const [first, ...surplus] = found;
    if (first === undefined) return undefined;
    for (const { instanceId } of surplus) {
      this.#options.log.warn('launch.surplus_instance', { vmId, instanceId });
      await this.#instances.terminateOne(instanceId);
    }
    const {
      InstanceType: type,
      SubnetId: subnetId,
      AvailabilityZone: zone,
    } = first.LaunchTemplateAndOverrides?.Overrides ?? {};
    const availabilityZone = zone ?? this.#options.pools.find((pool) => pool.subnetId === subnetId)?.availabilityZone;
    const { instanceId } = first;
    if (type === undefined || availabilityZone === undefined) return { instanceId };
    return { instanceId, pool: { type, availabilityZone, market: first.Lifecycle === 'spot' ? 'spot' : 'on_demand' } };
  }

  /** No instance: what each pool said, remembered for the next plan, and what that means for this launch. */
  async #refused(answer: CreateFleetCommandOutput, spec: LaunchSpec, market: Market): Promise<LaunchFailed> {
    const { pools, leftOut = [] } = spec.plan;
    const answers = (answer.Errors ?? []).map((error) => heardOf(error, spec));
    // EC2 owes an answer either way; an empty one says as little as a pool without room.
    if (answers.length === 0) answers.push({ code: 'EmptyAnswer', errorClass: 'POOL', message: '', pool: undefined });
    const worst = mostHopeful([
      ...answers.map(({ errorClass }) => errorClass),
      ...leftOut.map(({ code }) => classOf(code)),
    ]);
    this.#report(answers, worst, spec, market);
    const isHopeless = worst === 'CONFIG' || worst === 'UNKNOWN';
    for (const each of answers) {
      // A pool that is set up wrongly is left out while others may still have room; else everybody is to hear of it.
      const remembered = isHopeless ? [] : each.pool === undefined ? pools : [each.pool];
      await this.#remember(each, remembered, market);
    }
    const tried = answers.map(({ pool, code }) =>
      pool === undefined ? { market, code } : triedOf(pool, market, code),
    );
    const telling = answers.find(({ errorClass }) => errorClass === worst)?.message;
    return launchError(worst, [...leftOut, ...tried], telling, { othersLeft: OTHERS_LEFT.has(worst) });
  }

  /** What an operator is to hear of: each refusal in numbers and by its pool, those that somebody has to act on by name too. */
  #report(answers: readonly Heard[], worst: LaunchErrorClass, { vmId, runId }: LaunchSpec, market: Market): void {
    const { log, metrics } = this.#options;
    for (const { code, errorClass, message: said, pool } of answers) {
      metrics.put('LaunchRefusals', 1, { class: errorClass });
      const { type, availabilityZone, subnetId } = pool ?? {};
      const facts = { vmId, runId, code, class: errorClass, said, type, availabilityZone, subnetId, market };
      log.info('launch.refused', facts);
      if (errorClass === 'UNKNOWN') log.error('launch.unknown_code', facts);
      if (errorClass === 'CONFIG') log.error('launch.misconfigured', facts);
    }
    const codes = answers.map(({ code }) => code).join(', ');
    if (worst === 'QUOTA') log.error('launch.quota', { vmId, runId, codes });
  }

  async #remember({ errorClass, code }: Heard, pools: readonly LaunchPool[], market: Market): Promise<void> {
    if (errorClass === 'THROTTLE' || errorClass === 'QUOTA') return;
    if (errorClass === 'SPOT') return this.#memory.rememberSpot(code);
    for (const pool of pools) {
      if (errorClass === 'SUBNET') await this.#memory.rememberSubnet(pool.subnetId, code);
      else await this.#memory.rememberPool(pool, market, code);
    }
  }

  /** The request as a whole was refused, or nobody knows what became of it. */
  async #thrown(error: unknown, spec: LaunchSpec, market: Market): Promise<Launched> {
    if (!(error instanceof Error)) throw error;
    const status = (error as { $metadata?: { httpStatusCode?: number } }).$metadata?.httpStatusCode;
    const systemCode = (error as NodeJS.ErrnoException).code;
    const code = error.name === 'Error' ? (systemCode ?? error.name) : error.name;
    const tried = [{ market, code }];
    if (status === undefined) {
      // What failed before a request could leave is a fault of the program, and stays one.
      if (systemCode === undefined && !NO_ANSWER.has(code)) throw error;
      throw launchError('THROTTLE', tried, error.message, { cause: error, unanswered: true });
    }
    if (code === 'IdempotentParameterMismatch') {
      // A request under this token was taken, and it was not quite this one. It may have brought an instance.
      const instanceId = await this.#instances.findLive(spec.vmId);
      if (instanceId !== undefined) return { instanceId };
      throw launchError('THROTTLE', tried, error.message, { cause: error });
    }
    const settling = spec.number <= SETTLING_TRIES && SETTLING.test(error.message);
    const errorClass = settling ? 'THROTTLE' : classOf(code, status);
    const heard = { code, errorClass, message: error.message, pool: undefined };
    this.#report([heard], errorClass, spec, market);
    if (errorClass !== 'CONFIG' && errorClass !== 'UNKNOWN') await this.#remember(heard, spec.plan.pools, market);
    // A throttle was never begun; a failure within EC2 may have got as far as an instance.
    const unanswered = errorClass === 'THROTTLE' && status >= 500 && !THROTTLED.test(code);
    throw launchError(errorClass, tried, error.message, {
      cause: error,
      unanswered,
      othersLeft: OTHERS_LEFT.has(errorClass),
    });
  }
}

interface Heard {
  readonly code: string;
  readonly errorClass: LaunchErrorClass;
  readonly message: string | undefined;
  /** Which of the pools that were asked for said so, where it says that. */
  readonly pool: LaunchPool | undefined;
}

/** After these the next plan may find pools that were not asked. */
const OTHERS_LEFT: ReadonlySet<LaunchErrorClass> = new Set(['POOL', 'SUBNET', 'SPOT']);
const NO_ANSWER: ReadonlySet<string> = new Set(['TimeoutError', 'AbortError', 'RequestTimeout']);
const THROTTLED = /^RequestLimitExceeded$|^Throttling|^EC2ThrottledException$/;

function heardOf(error: CreateFleetError, { number, plan }: LaunchSpec): Heard {
  const { InstanceType: type, SubnetId: subnetId } = error.LaunchTemplateAndOverrides?.Overrides ?? {};
  const code = error.ErrorCode ?? 'NoCode';
  const message = error.ErrorMessage;
  const settling = number <= SETTLING_TRIES && SETTLING.test(message ?? '');
  return {
    code,
    errorClass: settling ? 'THROTTLE' : classOf(code),
    message,
    pool: plan.pools.find((pool) => pool.type === type && pool.subnetId === subnetId),
  };
}

const triedOf = ({ type, availabilityZone }: LaunchPool, market: Market, code: string): Tried => ({
  type,
  availabilityZone,
  market,
  code,
});
