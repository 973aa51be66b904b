/**
 * EC2 as far as the fleet uses it, after its documentation: CreateFleet of type `instant` with errors inside a successful
 * answer, client tokens, instances that are seen late, tags as filters, termination that takes a while.
 */
import { randomBytes } from 'node:crypto';
import {
  CreateFleetCommand,
  type CreateFleetCommandInput,
  type CreateFleetCommandOutput,
  DescribeInstancesCommand,
  type DescribeInstancesCommandInput,
  type EC2Client,
  EC2ServiceException,
  type Instance,
  TerminateInstancesCommand,
} from '@aws-sdk/client-ec2';

export const ec2Error = (name: string, status = 400, message = `${name} was planted`): EC2ServiceException =>
  new EC2ServiceException({
    name,
    message,
    $fault: status >= 500 ? 'server' : 'client',
    $metadata: { httpStatusCode: status },
  });

interface Asked {
  readonly type: string;
  readonly subnetId: string;
  readonly market: string;
}

export class FakeEc2 {
  readonly instances = new Map<string, Instance>();
  readonly requests: CreateFleetCommandInput[] = [];
  readonly terminated: string[] = [];
  /** What a pool says instead of giving an instance. */
  refuse: (pool: Asked) => string | { readonly code: string; readonly message: string } | undefined = () => undefined;
  /** The next CreateFleet fails as a whole; `lostAnswer` fails after EC2 has done its work. */
  fault: Error | undefined;
  lostAnswer: Error | undefined;
  /** Besides the instance, the answer has an error and this many more instances. */
  surplus = 0;
  alsoError: string | undefined;
  describeFault: Error | undefined;
  /** Instances that exist, and are not to be seen yet. */
  hidden = false;
  readonly hiddenIds = new Set<string>();
  readonly #byToken = new Map<string, { readonly body: string; readonly answer: CreateFleetCommandOutput }>();

  readonly client = {
    send: async (command: unknown) => {
      if (command instanceof CreateFleetCommand) return this.#createFleet(command.input);
      if (command instanceof DescribeInstancesCommand) return this.#describe(command.input);
      if (command instanceof TerminateInstancesCommand) return this.#terminate(command.input.InstanceIds ?? []);
      throw new TypeError(`the double of EC2 does not know ${String(command)}`);
    },
  } as unknown as EC2Client;

  setState(instanceId: string, state: string): void {
    this.instances.set(instanceId, { ...this.instances.get(instanceId), State: { Name: state as never } });
  }

  #createFleet(input: CreateFleetCommandInput): CreateFleetCommandOutput {
    this.requests.push(input);
    const fault = this.fault;
    this.fault = undefined;
    if (fault !== undefined) throw fault;
    const body = JSON.stringify(input);
    const known = this.#byToken.get(input.ClientToken ?? '');
    if (known !== undefined && known.body !== body) throw ec2Error('IdempotentParameterMismatch');
    const answer = known?.answer ?? this.#answer(input);
    this.#byToken.set(input.ClientToken ?? '', { body, answer });
    const lost = this.lostAnswer;
    this.lostAnswer = undefined;
    if (lost !== undefined) throw lost;
    return answer;
  }

  #answer(input: CreateFleetCommandInput): CreateFleetCommandOutput {
    const market = input.TargetCapacitySpecification?.DefaultTargetCapacityType ?? '';
    const errors: NonNullable<CreateFleetCommandOutput['Errors']> = [];
    for (const override of (input.LaunchTemplateConfigs ?? []).flatMap((config) => config.Overrides ?? [])) {
      const refusal = this.refuse({ type: String(override.InstanceType), subnetId: override.SubnetId ?? '', market });
      const LaunchTemplateAndOverrides = {
        Overrides: { InstanceType: override.InstanceType, SubnetId: override.SubnetId },
      };
      if (refusal !== undefined) {
        const { code, message } = typeof refusal === 'string' ? { code: refusal, message: `no: ${refusal}` } : refusal;
        errors.push({ ErrorCode: code, ErrorMessage: message, LaunchTemplateAndOverrides });
        continue;
      }
      const ids = Array.from({ length: 1 + this.surplus }, () => this.#launch(input));
      if (this.alsoError !== undefined) errors.push({ ErrorCode: this.alsoError });
      const Instances = [{ InstanceIds: ids, LaunchTemplateAndOverrides, Lifecycle: market as never }];
      return { FleetId: 'fleet-1', Instances, Errors: errors, $metadata: {} };
    }
    return { FleetId: 'fleet-1', Instances: [], Errors: errors, $metadata: {} };
  }

  #launch(input: CreateFleetCommandInput): string {
    const InstanceId = `i-${randomBytes(8).toString('hex')}1`;
    const Tags = input.TagSpecifications?.find((each) => each.ResourceType === 'instance')?.Tags ?? [];
    this.instances.set(InstanceId, { InstanceId, Tags, State: { Name: 'pending' } });
    return InstanceId;
  }

  #describe({ Filters: filters = [], InstanceIds: ids }: DescribeInstancesCommandInput) {
    if (this.describeFault !== undefined) throw this.describeFault;
    const visible = this.hidden
      ? []
      : [...this.instances.values()].filter((each) => !this.hiddenIds.has(each.InstanceId ?? ''));
    const has = (instance: Instance, name: string, values: readonly string[]) =>
      name === 'instance-state-name'
        ? values.includes(instance.State?.Name ?? '')
        : instance.Tags?.some((tag) => `tag:${tag.Key}` === name && values.includes(tag.Value ?? '')) === true;
    if (ids?.some((id) => !visible.some((each) => each.InstanceId === id)))
      throw ec2Error('InvalidInstanceID.NotFound');
    const found = visible.filter(
      (each) =>
        (ids === undefined || ids.includes(each.InstanceId ?? '')) &&
        filters.every(({ Name: name = '', Values: values = [] }) => has(each, name, values)),
    );
    return { Reservations: found.map((each) => ({ Instances: [each] })) };
  }

  #terminate(ids: readonly string[]) {
    for (const id of ids) {
      if (!this.instances.has(id)) throw ec2Error('InvalidInstanceID.NotFound');
      this.terminated.push(id);
      this.setState(id, 'shutting-down');
    }
    return {};
  }
}
