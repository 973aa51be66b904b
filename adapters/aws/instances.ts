/** EC2 instances of ours, by their tags: looked at, and ended. What does not carry the installation's tag is not touched. */
import {
  DescribeInstancesCommand,
  type DescribeInstancesCommandInput,
  type EC2Client,
  type Instance,
  TerminateInstancesCommand,
} from '@aws-sdk/client-ec2';
import type { InstanceObservation, InstanceStatus, ListedInstance, Time } from '../../core/ports.ts';
import type { Page } from '../../core/table/model.ts';

/** Also what IAM conditions, audits and the VM itself (through IMDS) go by. */
export const TAGS = {
  installation: 'candor:installation',
  vm: 'candor:vm',
  tenant: 'candor:tenant',
  agent: 'candor:agent',
  run: 'candor:run',
  attempt: 'candor:attempt',
} as const;

/**
 * EC2 is eventually consistent: an instance that was just launched may be unknown for a while. Past that, what is not
 * found has been gone for about an hour, after which EC2 forgets it.
 */
// fence: looks.instanceAppears
const APPEARING_MS = 300_000;
const NOT_FOUND: ReadonlySet<string> = new Set(['InvalidInstanceID.NotFound', 'InvalidInstanceID.Malformed']);
const PAGES_MAX = 20;
/** What may still cost money or do work: whatever is not terminated. */
const NOT_GONE = ['pending', 'running', 'stopping', 'stopped', 'shutting-down'];
const LIST_PAGE = 500;

export interface InstancesOptions {
  readonly client: EC2Client;
  readonly time: Pick<Time, 'now'>;
  readonly installation: string;
}

export class Instances {
  readonly #options: InstancesOptions;

  constructor(options: InstancesOptions) {
    this.#options = options;
  }

  async observe(vmId: string, instanceId: string | undefined, launchedAt = 0): Promise<InstanceObservation> {
    const found = await this.#ofVm(vmId, instanceId);
    const [shown] = [...found].sort((left, right) => rankOf(left) - rankOf(right));
    // Its own instance may not have appeared yet where another one, a surplus of the same launch, is seen to be gone.
    const isOwnShown = found.some((each) => each.InstanceId === instanceId);
    const isYoung = this.#options.time.now() - launchedAt < APPEARING_MS;
    const isAwaited = isYoung && instanceId !== undefined && !isOwnShown;
    // fence: looks.ownInstanceAppears
    if (shown !== undefined && (!isAwaited || rankOf(shown) < TERMINATED_RANK)) {
      const others = found.length > 1 ? `; ${found.length} instances carry the tag of ${vmId}` : '';
      return { status: statusOf(shown), detail: `${describe(shown)}${others}` };
    }
    const what =
      instanceId === undefined ? `no instance carries the tag of ${vmId}` : `EC2 does not know ${instanceId}`;
    // Without an id nobody has ever seen it: the core asks again after a while by itself.
    return isAwaited ? { status: 'pending', detail: `${what} yet` } : { status: 'terminated', detail: what };
  }

  /** The instance that the VM has, if there is one that lives. */
  async findLive(vmId: string): Promise<string | undefined> {
    const found = await this.#ofVm(vmId, undefined);
    return found.find((instance) => rankOf(instance) < TERMINATED_RANK)?.InstanceId;
  }

  async terminate(vmId: string, instanceId: string | undefined): Promise<void> {
    const found = await this.#ofVm(vmId, instanceId);
    const ids = new Set(found.filter((each) => statusOf(each) !== 'terminated').map((each) => each.InstanceId ?? ''));
    // One that is not to be seen yet is asked to end all the same: the id was EC2's answer to our own launch.
    if (instanceId !== undefined && found.every((each) => each.InstanceId !== instanceId)) ids.add(instanceId);
    for (const id of ids) await this.terminateOne(id);
  }

  async list(after?: string): Promise<Page<ListedInstance>> {
    const answer = await this.#options.client.send(
      new DescribeInstancesCommand({
        Filters: [
          { Name: `tag:${TAGS.installation}`, Values: [this.#options.installation] },
          { Name: 'instance-state-name', Values: NOT_GONE },
        ],
        MaxResults: LIST_PAGE,
        ...(after !== undefined && { NextToken: after }),
      }),
    );
    const found = (answer.Reservations ?? []).flatMap((reservation) => reservation.Instances ?? []);
    const items = found.map((instance) => ({
      instanceId: instance.InstanceId ?? '',
      vmId: tagOf(instance, TAGS.vm) ?? '',
      tenantId: tagOf(instance, TAGS.tenant) ?? '',
      status: statusOf(instance),
      detail: describe(instance),
    }));
    const next = answer.NextToken;
    return next === undefined || next === '' ? { items } : { items, next };
  }

  /** One at a time: EC2 refuses the whole list where it does not know one of them. */
  async terminateOne(instanceId: string): Promise<void> {
    try {
      await this.#options.client.send(new TerminateInstancesCommand({ InstanceIds: [instanceId] }));
    } catch (error) {
      if (!(error instanceof Error) || !NOT_FOUND.has(error.name)) throw error;
    }
  }

  /** By the tags, and by the id where the tags do not show it yet. */
  async #ofVm(vmId: string, instanceId: string | undefined): Promise<readonly Instance[]> {
    const tagged = await this.#describe({
      Filters: [
        { Name: `tag:${TAGS.installation}`, Values: [this.#options.installation] },
        { Name: `tag:${TAGS.vm}`, Values: [vmId] },
      ],
    });
    if (instanceId === undefined || tagged.some((each) => each.InstanceId === instanceId)) return tagged;
    const named = await this.#describe({ InstanceIds: [instanceId] }).catch((error: unknown) => {
      if (error instanceof Error && NOT_FOUND.has(error.name)) return [];
      throw error;
    });
    for (const each of named) this.#checkOurs(each, vmId);
    return [...tagged, ...named];
  }

  /** @throws Error where the instance is somebody else's: nothing is to be concluded from it, least of all its end */
  #checkOurs(instance: Instance, vmId: string): void {
    const isOurs = tagOf(instance, TAGS.installation) === this.#options.installation;
    if (!isOurs || tagOf(instance, TAGS.vm) !== vmId)
      throw new Error(`${instance.InstanceId} does not carry the tags of ${vmId} in ${this.#options.installation}`);
  }

  async #describe(input: DescribeInstancesCommandInput): Promise<readonly Instance[]> {
    const found: Instance[] = [];
    let token: string | undefined;
    for (let page = 0; page < PAGES_MAX; page++) {
      const request = new DescribeInstancesCommand({ ...input, ...(token !== undefined && { NextToken: token }) });
      const answer = await this.#options.client.send(request);
      for (const reservation of answer.Reservations ?? []) found.push(...(reservation.Instances ?? []));
      token = answer.NextToken;
      // A filtered page may be empty, and yet not the last one.
      if (token === undefined || token === '') return found;
    }
    throw new Error(`EC2 has more than ${PAGES_MAX} pages of instances for one VM`);
  }
}

const tagOf = ({ Tags: tags = [] }: Instance, key: string): string | undefined =>
  tags.find((tag) => tag.Key === key)?.Value;

/** `stopping` and `shutting-down` still have processes; a `stopped` one has none, but may be started again. */
const STATUSES: Readonly<Record<string, InstanceStatus>> = {
  pending: 'pending',
  running: 'running',
  stopping: 'running',
  'shutting-down': 'running',
  stopped: 'unknown',
  terminated: 'terminated',
};

const statusOf = ({ State: state }: Instance): InstanceStatus => STATUSES[state?.Name ?? ''] ?? 'unknown';

/** Of several the one that lives most speaks for the VM: it is gone when all of them are. */
const RANKS: readonly InstanceStatus[] = ['running', 'pending', 'unknown', 'terminated'];
const TERMINATED_RANK = RANKS.indexOf('terminated');
const rankOf = (instance: Instance): number => RANKS.indexOf(statusOf(instance));

function describe({ InstanceId: id, State: state, StateReason: why, StateTransitionReason: when }: Instance): string {
  const reason = [why?.Message, when].filter((part) => part !== undefined && part !== '').join('; ');
  return `EC2 says that ${id} is ${state?.Name ?? 'in no state'}${reason === '' ? '' : ` (${reason})`}`;
}
