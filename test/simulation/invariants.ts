/**
 * The invariants of design.md §4, checked at every committed transaction: on what it has changed, on what it must have
 * changed with it, and on what really happened on the machines.
 */
import type { AgentRow } from '../../core/agents/model.ts';
import type { RunRow } from '../../core/runs/model.ts';
import * as keys from '../../core/table/itemKeys.ts';
import type { Item } from '../../core/table/model.ts';
import type { VmRow } from '../../core/vms/model.ts';
import { DepositRules } from './depositRules.ts';
import { READ_FAULTS, type Site } from './faults.ts';
import type { Incarnation } from './incarnations.ts';
import { KeyRules } from './keyRules.ts';
import { LaunchRules } from './launchRules.ts';
import { LedgerRules } from './ledgerRules.ts';
import { LimitRules } from './limitRules.ts';
import { LookRules } from './lookRules.ts';
import { OtherRules } from './otherRules.ts';
import { RunRules } from './runRules.ts';
import { SecretRules } from './secretRules.ts';
import { StaleRules } from './staleRules.ts';
import type { Change } from './table.ts';
import { VmRules } from './vmRules.ts';
import { WebhookRules } from './webhookRules.ts';
import type { Simulation } from './world.ts';

/** A transaction that was committed, with who did it. */
export interface Commit {
  readonly inc: Incarnation;
  readonly changes: readonly Change[];
  /** What it left at this key, where it wrote there. */
  find(pk: string, sk: string): Change | undefined;
}

export class Checker {
  readonly #world: Simulation;
  readonly #runs: RunRules;
  readonly #vms: VmRules;
  readonly #ledger: LedgerRules;
  readonly limits: LimitRules;
  readonly looks: LookRules;
  readonly others: OtherRules;
  readonly webhooks: WebhookRules;
  readonly deposits: DepositRules;
  readonly keys: KeyRules;
  readonly secrets: SecretRules;
  readonly launches: LaunchRules;
  readonly #stale: StaleRules;
  commits = 0;

  constructor(world: Simulation) {
    this.#world = world;
    this.#runs = new RunRules(world);
    this.#vms = new VmRules(world);
    this.#ledger = new LedgerRules(world);
    this.limits = new LimitRules(world);
    this.looks = new LookRules(world);
    this.others = new OtherRules(world);
    this.webhooks = new WebhookRules(world);
    this.deposits = new DepositRules(world);
    this.keys = new KeyRules(world);
    this.secrets = new SecretRules(world);
    this.launches = new LaunchRules(world);
    this.#stale = new StaleRules(world);
  }

  get runs(): RunRules {
    return this.#runs;
  }

  get vms(): VmRules {
    return this.#vms;
  }

  get ledger(): LedgerRules {
    return this.#ledger;
  }

  committed(inc: Incarnation, changes: readonly Change[]): void {
    this.commits++;
    const commit: Commit = {
      inc,
      changes,
      find: (pk, sk) => changes.find(({ key }) => key.pk === pk && key.sk === sk),
    };
    this.#vms.silence.committed(commit);
    for (const change of changes) this.#one(commit, change);
    this.limits.committed(commit);
    this.looks.committed(commit);
    this.others.committed(commit);
    this.webhooks.committed(commit);
    this.deposits.committed(commit);
    this.keys.committed(commit);
    this.secrets.committed(commit);
    this.#stale.committed(commit);
    this.#tenants(commit);
  }

  #one(commit: Commit, change: Change): void {
    const { pk, sk } = change.key;
    const { before, after } = change;
    if (sk.startsWith('EVT#')) this.#event(commit, change);
    else if (sk === 'META') {
      if (pk.startsWith('RUN#'))
        this.#runs.changed(
          commit,
          change,
          before as unknown as RunRow | undefined,
          after as unknown as RunRow | undefined,
        );
      else if (pk.startsWith('VM#'))
        this.#vms.changed(commit, before as unknown as VmRow | undefined, after as unknown as VmRow | undefined);
      else if (pk.startsWith('SCH#')) this.#ledger.schedule(commit, change);
      else if (pk.startsWith('AGT#'))
        this.#agent(commit, before as unknown as AgentRow | undefined, after as unknown as AgentRow | undefined);
    } else if (pk.startsWith('SCH#') && sk.startsWith('OCC#')) this.#ledger.occurrence(commit, change);
  }

  /** Events are only ever appended (I13). */
  #event({ inc }: Commit, { key, before }: Change): void {
    if (before !== undefined) this.#world.broken('I13', `${inc.kind} writes over the event ${key.pk} ${key.sk}`);
  }

  #agent({ inc, find }: Commit, before: AgentRow | undefined, after: AgentRow | undefined): void {
    if (after === undefined) {
      this.#world.broken('§1.7', `${inc.kind} takes ${before?.id} away`);
      return;
    }
    if (before === undefined) return;
    if (after.version !== before.version && after.version !== before.version + 1)
      this.#world.broken('I8', `agent ${after.id} goes from version ${before.version} to ${after.version}`);
    const event = keys.agentEvent(after.id, after.version);
    if (after.version !== before.version && find(event.pk, event.sk) === undefined)
      this.#world.broken('I13', `agent ${after.id} is at version ${after.version} without an event`);
    if ((after.scheduleCount ?? 0) < 0) this.#world.broken('I10', `agent ${after.id} counts ${after.scheduleCount}`);
  }

  /** One tenant has reached for what is another's (I12). @param revealed what it was told of it */
  reached(tenantId: string, name: string, revealed: string | undefined): void {
    if (revealed !== undefined) this.#world.broken('I12', `${name} by ${tenantId} at another's is ${revealed}`);
  }

  /** Whoever reaches for what is another's is told so before anything is asked of any service but to read (I12). */
  requested(inc: Incarnation, site: Site): void {
    if (inc.kind === 'api.reach_over' && site.kinds !== READ_FAULTS)
      this.#world.broken('I12', `another tenant comes as far as ${site.name}`);
  }

  /** No transaction has to do with two tenants, but for what looks at the whole installation (I12). */
  #tenants({ inc, changes }: Commit): void {
    if (inc.kind === 'audit') return;
    let seen: unknown;
    for (const { before, after } of changes) {
      const tenant = ownerOf(after ?? before);
      if (tenant === undefined || tenant === seen) continue;
      if (seen !== undefined) this.#world.broken('I12', `${inc.kind} writes items of ${String(seen)} and ${tenant}`);
      seen = tenant;
    }
  }
}

const ownerOf = (item: Item | undefined): string | undefined =>
  item?.tenantId === 'system' ? undefined : (item?.tenantId as string | undefined);
