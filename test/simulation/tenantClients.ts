/** Two tenants side by side: the second one has agents, schedules and runs of its own, and each reaches for what is the other's. */
import { createAgent } from '../../core/agents/service.ts';
import { AgentCreate } from '../../core/contract/agents.ts';
import { ScheduleCreate } from '../../core/contract/schedules.ts';
import { CandorError, isRetryable } from '../../core/errors.ts';
import type { Ports } from '../../core/ports.ts';
import { cancelRun } from '../../core/runs/cancel.ts';
import { createRun } from '../../core/runs/service.ts';
import { createSchedule } from '../../core/schedules/service.ts';
import { triggerSchedule } from '../../core/schedules/trigger.ts';
import { createWebhook } from '../../core/webhooks/service.ts';
import { scheduleThere } from './calendar.ts';
import { CALLER, ELSEWHERE } from './callers.ts';
import type { Outcome } from './incarnations.ts';
import { Random } from './random.ts';
import { type Attempt, attemptsAt } from './tenantCalls.ts';
import { agentOf, type Operation } from './workload.ts';
import type { Simulation } from './world.ts';

export const TENANT_OPERATIONS = ['settle_elsewhere', 'reach_over'] as const;
export type TenantOperation = (typeof TENANT_OPERATIONS)[number];

/** So many are tried in a row. */
const ATTEMPTS = 6;

export class TenantClients {
  readonly #world: Simulation;
  #made = 0;

  constructor(world: Simulation) {
    this.#world = world;
  }

  once(operation: Operation & { readonly kind: TenantOperation }): Promise<void> {
    return operation.kind === 'reach_over' ? this.#reachOver(operation) : this.#settle(operation);
  }

  /** All that stands in the table of one tenant, dead or alive. */
  #own(tenantId: string) {
    const { runs, vms, ledger, webhooks } = this.#world.checker;
    const of = <T extends { readonly tenantId: string }>(rows: Iterable<T>) =>
      [...rows].filter((each) => each.tenantId === tenantId);
    return {
      agents: [...this.#world.table.scan('AGT#')].filter((row) => row.sk === 'META' && row.tenantId === tenantId),
      schedules: of(ledger.rows.values()),
      runs: of(runs.rows.values()),
      vms: of(vms.rows.values()),
      webhooks: of(webhooks.rows.values()),
      deliveries: of(webhooks.deliveries.values()),
    };
  }

  /** An agent first, then what it does, by the same names as the other tenant's. */
  async #settle({ pick, how }: Operation): Promise<void> {
    const random = new Random(pick * 1000 + how);
    const { agents, schedules, runs } = this.#own(ELSEWHERE.tenantId);
    const agent = agents.find(({ status }) => status === 'active');
    const agentId = String(agent?.id);
    const schedule = schedules[pick % schedules.length];
    const run = runs[pick % runs.length];
    if (agent === undefined) {
      const request = AgentCreate.parse(agentOf(random, 0));
      await this.#settles((ports) => createAgent(ports, ELSEWHERE, request));
    } else if (schedule === undefined || how % 5 === 0) {
      const request = ScheduleCreate.parse(scheduleThere(this.#world, random, how, ++this.#made));
      await this.#settles((ports) => createSchedule(ports, ELSEWHERE, agentId, request));
    } else if (how % 5 === 1 && this.#world.checker.webhooks.rows.size > 0) {
      const request = { url: 'https://endpoint-elsewhere.example.com/hook', events: ['*'] };
      await this.#settles((ports) => createWebhook(ports, ELSEWHERE, request));
    } else if (how % 5 === 2 && run !== undefined) {
      const order = { by: ELSEWHERE.principalId, reason: 'a whim', cause: 'request' } as const;
      await this.#settles((ports) => cancelRun(ports, ELSEWHERE, run.id, order));
    } else if (how % 5 === 3)
      await this.#settles((ports) => triggerSchedule(ports, ELSEWHERE, schedule.id, {}, { kind: 'none' }));
    else await this.#settles((ports) => createRun(ports, ELSEWHERE, agentId, { how }));
  }

  async #settles(call: (ports: Ports) => Promise<unknown>): Promise<void> {
    await this.#world.invoke('api.settle_elsewhere', call);
  }

  /** Another tenant finds nothing, and changes nothing (I12): the second one at ours, or we at what is its. */
  async #reachOver({ pick, how }: Operation): Promise<void> {
    const [me, they] = how % 2 === 0 ? [ELSEWHERE, CALLER] : [CALLER, ELSEWHERE];
    const own = this.#own(they.tenantId);
    const one = <T>(from: readonly T[]): T | undefined => from[pick % from.length];
    const webhook = one(own.webhooks);
    const target = {
      principalId: they.principalId,
      agentId: one(own.agents)?.id as string | undefined,
      schedule: one(own.schedules),
      runId: one(own.runs)?.id,
      vmId: one(own.vms)?.id,
      webhookId: webhook?.id,
      deliveryId: one(own.deliveries.filter(({ webhookId }) => webhookId === webhook?.id))?.id,
    };
    const attempts = attemptsAt(me, target, this.#world.time.now);
    for (let nth = 0; nth < ATTEMPTS; nth++) {
      const attempt = attempts[(pick + nth * 11) % attempts.length];
      if (attempt === undefined) return;
      const outcome = await this.#world.invoke('api.reach_over', attempt.call);
      this.#world.checker.reached(me.tenantId, attempt.name, this.#revealed(they.tenantId, attempt, outcome));
    }
  }

  /** What an answer says of what is another's; undefined where it says nothing. */
  #revealed(theirs: string, { isList = false }: Attempt, outcome: Outcome<unknown>): string | undefined {
    if (outcome.kind === 'lost') return undefined;
    if (outcome.kind === 'threw') {
      const { error } = outcome;
      // Whoever is refused in any other way than where there is nothing, knows that there is something.
      const tells = error instanceof CandorError && error.code !== 'not_found' && !isRetryable(error.code);
      return tells ? `refused with ${error.code}` : undefined;
    }
    if (!isList) return 'answered';
    const text = JSON.stringify(outcome.value);
    const found = Object.values(this.#own(theirs))
      .flatMap((rows) => rows.map(({ id }) => String(id)))
      .find((id) => text.includes(id));
    return found === undefined ? undefined : `shown ${found}`;
  }
}
