/**
 * EC2 as the real adapter (`adapters/aws/fleet.ts`) calls it: fleets of type `instant`, tokens that are remembered, pools
 * that have no room, answers that lag behind, instances that are taken back. What an instance does is a {@link Machine}.
 */
import {
  CreateFleetCommand,
  type CreateFleetCommandOutput,
  type DescribeInstancesCommand,
  type DescribeInstancesCommandOutput,
  type Instance,
  TerminateInstancesCommand,
} from '@aws-sdk/client-ec2';
import type { Ec2FleetOptions } from '../../adapters/aws/fleet.ts';
import { TAGS } from '../../adapters/aws/instances.ts';
import type { Incarnation } from './incarnations.ts';
import { Machine } from './machine.ts';
import { ServiceError } from './ports.ts';
import type { Simulation } from './world.ts';

export type EC2Request = CreateFleetCommand | DescribeInstancesCommand | TerminateInstancesCommand;

export const requestName = (command: EC2Request): string =>
  command instanceof CreateFleetCommand
    ? 'CreateFleet'
    : command instanceof TerminateInstancesCommand
      ? 'TerminateInstances'
      : 'Describe';

type StateName = 'pending' | 'running' | 'shutting-down' | 'terminated';

export interface Ec2Instance {
  readonly id: string;
  readonly vmId: string;
  readonly token: string;
  readonly tags: readonly { readonly Key: string; readonly Value: string }[];
  readonly machine: Machine;
  readonly spot: boolean;
  /** Beyond the number that was asked for. */
  readonly isSurplus: boolean;
  state: StateName;
  /** What whoever asks is shown: the states and when each of them becomes visible, oldest first. */
  readonly shown: { readonly from: number; readonly state: StateName }[];
  /** Somebody asked for its end, or it was taken back. */
  endReason?: string;
}

/** How EC2 behaves in one world. */
export interface Ec2Weather {
  /** That a pool has no room, at any request. */
  readonly noRoom: number;
  /** That the account may have no more, at any request. */
  readonly quota: number;
  readonly surplus: number;
  readonly lagMsMax: number;
  readonly bootMsMax: number;
  /** That an instance never comes up. */
  readonly neverBoots: number;
  /** That it is taken back while it runs. */
  readonly reclaimed: number;
}

const POOL_CODES = ['InsufficientInstanceCapacity', 'UnfulfillableCapacity', 'SpotMaxPriceTooLow'];

export class Ec2 {
  readonly #world: Simulation;
  readonly weather: Ec2Weather;
  readonly instances: Ec2Instance[] = [];
  readonly #byToken = new Map<string, CreateFleetCommandOutput>();
  /** What was asked for under each token. */
  readonly #requests = new Map<string, string>();

  constructor(world: Simulation, weather: Ec2Weather) {
    this.#world = world;
    this.weather = weather;
  }

  readonly installation = {
    installation: 'simulated',
    template: { id: 'lt-1', version: '1' },
    pools: [
      {
        subnetId: 'subnet-a',
        availabilityZone: 'eu-1a',
        architecture: 'x86_64',
        instanceTypes: [{ type: 't.small', vcpu: 2, memoryMiB: 2048 }],
        markets: ['spot', 'on_demand'],
      },
      {
        subnetId: 'subnet-b',
        availabilityZone: 'eu-1b',
        architecture: 'x86_64',
        instanceTypes: [{ type: 't.small', vcpu: 2, memoryMiB: 2048 }],
        markets: ['spot', 'on_demand'],
      },
    ],
    launchesPerSecond: 2,
    launchBurst: 50,
  } as const satisfies Partial<Ec2FleetOptions>;

  live = (): readonly Ec2Instance[] => this.instances.filter(({ state }) => state !== 'terminated');

  /** @param inc who asks */
  handle(
    inc: Incarnation,
    command: EC2Request,
  ): CreateFleetCommandOutput | DescribeInstancesCommandOutput | { $metadata: object } {
    if (command instanceof CreateFleetCommand) return this.#createFleet(command);
    if (command instanceof TerminateInstancesCommand) {
      for (const id of command.input.InstanceIds ?? []) this.#terminate(inc, id);
      return { $metadata: {} };
    }
    return this.#describe(inc, command);
  }

  #createFleet({ input }: CreateFleetCommand): CreateFleetCommandOutput {
    const token = input.ClientToken ?? '';
    // EC2 would answer `IdempotentParameterMismatch`.
    const request = JSON.stringify(input);
    if ((this.#requests.get(token) ?? request) !== request)
      this.#world.broken('I2', 'a launch is asked for under the token of one with other parameters');
    this.#requests.set(token, request);
    const known = this.#byToken.get(token);
    if (known !== undefined) return known;
    if (!this.#world.checker.launches.isMeant(token))
      this.#world.broken('I2', 'a launch is asked for under a token that nobody has written down before');
    const { random } = this.#world;
    const { noRoom, quota, surplus } = this.#world.isCalm ? CALM : this.weather;
    const market = input.TargetCapacitySpecification?.DefaultTargetCapacityType ?? 'on-demand';
    const overrides = (input.LaunchTemplateConfigs ?? []).flatMap((config) => config.Overrides ?? []);
    if (random.chance(quota)) {
      const code = market === 'spot' && random.chance(0.5) ? 'MaxSpotInstanceCountExceeded' : 'VcpuLimitExceeded';
      return { $metadata: {}, Errors: overrides.map((each) => errorOf(code, each)) };
    }
    const full = overrides.filter(() => random.chance(noRoom));
    const open = overrides.filter((each) => !full.includes(each));
    const [chosen] = open;
    const Errors = full.map((each) => errorOf(random.pick(POOL_CODES), each));
    if (chosen === undefined) return { $metadata: {}, Errors };
    const count = random.chance(surplus) ? 2 : 1;
    const tags = (input.TagSpecifications?.[0]?.Tags ?? []) as { Key: string; Value: string }[];
    const ids = Array.from({ length: count }, (_, nth) => this.#launch(token, tags, market === 'spot', nth > 0).id);
    const answer: CreateFleetCommandOutput = {
      $metadata: {},
      Errors,
      Instances: [
        {
          InstanceIds: ids,
          Lifecycle: market as never,
          LaunchTemplateAndOverrides: { Overrides: chosen as never },
        },
      ],
    };
    this.#byToken.set(token, answer);
    return answer;
  }

  #launch(token: string, tags: Ec2Instance['tags'], spot: boolean, isSurplus: boolean): Ec2Instance {
    const { time, random } = this.#world;
    const id = `i-${String(this.instances.length + 1).padStart(4, '0')}`;
    const vmId = tags.find(({ Key }) => Key === TAGS.vm)?.Value ?? '';
    const instance: Ec2Instance = {
      id,
      vmId,
      token,
      tags,
      machine: new Machine(this.#world, vmId, id),
      spot,
      isSurplus,
      state: 'pending',
      shown: [],
    };
    this.instances.push(instance);
    this.#world.checker.launches.launched(instance);
    this.#show(instance);
    const { bootMsMax, neverBoots, reclaimed } = this.#world.isCalm ? CALM : this.weather;
    time.after(random.spread(3_000, 20_000), () => {
      if (instance.state !== 'pending') return;
      instance.state = 'running';
      this.#show(instance);
    });
    if (!random.chance(neverBoots)) time.after(random.spread(5_000, bootMsMax), () => instance.machine.boot());
    if (random.chance(reclaimed))
      time.after(random.spread(2_000, 1_800_000), () => this.end(instance, 'Server.SpotInstanceTermination'));
    return instance;
  }

  #terminate(inc: Incarnation, id: string): void {
    const instance = this.instances.find((each) => each.id === id);
    const visible = instance?.shown.some(({ from }) => from <= this.#world.time.now);
    if (instance === undefined || visible !== true)
      throw new ServiceError('InvalidInstanceID.NotFound', `The instance ID '${id}' does not exist`, 400);
    this.#world.checker.vms.ending(inc.kind, instance);
    this.#world.checker.looks.ending(inc, instance);
    this.end(instance, 'Client.UserInitiatedShutdown');
  }

  /** Shuts down: the machine ends some time later, and only after that EC2 says `terminated`. */
  end(instance: Ec2Instance, reason: string): void {
    if (instance.state === 'shutting-down' || instance.state === 'terminated') return;
    const { time, random } = this.#world;
    this.#world.note(`${instance.id} of ${instance.vmId} shuts down: ${reason}`);
    instance.state = 'shutting-down';
    instance.endReason = reason;
    this.#show(instance);
    time.after(random.spread(500, 60_000), () => {
      instance.machine.powerLost();
      instance.state = 'terminated';
      this.#show(instance);
    });
  }

  /** A machine has powered itself off: with `terminate` as its shutdown behaviour, that ends it. */
  poweredOff(id: string): void {
    const instance = this.instances.find((each) => each.id === id);
    if (instance !== undefined) this.end(instance, 'Client.InstanceInitiatedShutdown');
  }

  #show(instance: Ec2Instance): void {
    const { time, random } = this.#world;
    const lagMs = random.chance(0.5) ? 0 : random.spread(1, (this.#world.isCalm ? CALM : this.weather).lagMsMax);
    // What has been shown is not taken back.
    const from = Math.max(time.now + lagMs, instance.shown.at(-1)?.from ?? 0);
    instance.shown.push({ from, state: instance.state });
  }

  #describe(inc: Incarnation, { input }: DescribeInstancesCommand): DescribeInstancesCommandOutput {
    const now = this.#world.time.now;
    const found: Instance[] = [];
    const wantedStates = input.Filters?.find(({ Name }) => Name === 'instance-state-name')?.Values;
    const wantedVm = input.Filters?.find(({ Name }) => Name === `tag:${TAGS.vm}`)?.Values?.[0];
    for (const instance of this.instances) {
      if (input.InstanceIds !== undefined && !input.InstanceIds.includes(instance.id)) continue;
      if (wantedVm !== undefined && wantedVm !== instance.vmId) continue;
      const state = instance.shown.findLast(({ from }) => from <= now)?.state;
      if (state === undefined || (wantedStates !== undefined && !wantedStates.includes(state))) continue;
      found.push({
        InstanceId: instance.id,
        State: { Name: state },
        Tags: [...instance.tags],
        ...(instance.endReason !== undefined && { StateReason: { Message: instance.endReason } }),
      });
    }
    if (input.InstanceIds !== undefined && found.length < input.InstanceIds.length)
      throw new ServiceError('InvalidInstanceID.NotFound', 'The instance ID does not exist', 400);
    if (wantedVm !== undefined) {
      const states = found.map(({ State }) => State?.Name);
      this.#world.checker.looks.described(inc, wantedVm, states);
    }
    return { $metadata: {}, Reservations: [{ Instances: found }] };
  }
}

const CALM: Ec2Weather = {
  noRoom: 0,
  quota: 0,
  surplus: 0,
  lagMsMax: 1000,
  bootMsMax: 20_000,
  neverBoots: 0,
  reclaimed: 0,
};

const errorOf = (code: string, overrides: object) => ({
  ErrorCode: code,
  ErrorMessage: code,
  LaunchTemplateAndOverrides: { Overrides: overrides as never },
});
