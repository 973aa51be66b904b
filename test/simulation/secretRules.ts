/** What holds for secrets: what is started has all that its agent names, as it was stored; and they stand nowhere else. */
import type { AgentVersionRow } from '../../core/agents/model.ts';
import type { RunnerCommand } from '../../core/contract/runner.ts';
import * as keys from '../../core/table/itemKeys.ts';
import type { Commit } from './invariants.ts';
import { MARK } from './secretStore.ts';
import type { Simulation } from './world.ts';

type Start = Extract<RunnerCommand, { kind: 'start' }>;

/** As the core words it, of the secret that it names. */
const IS_MISSING = /^The secret (\S+) does not exist/;

export class SecretRules {
  readonly #world: Simulation;
  /** Most worlds have none: there is nothing to look for. */
  readonly #hasSome: boolean;

  constructor(world: Simulation) {
    this.#world = world;
    this.#hasSome = world.weather.secrets.hasKeys;
  }

  committed({ inc, changes }: Commit): void {
    if (!this.#hasSome) return;
    for (const { key, after } of changes)
      if (after !== undefined && JSON.stringify(after).includes(MARK))
        this.#fail(`${inc.kind} writes a secret into ${key.pk} ${key.sk}`);
  }

  logged(kind: string, event: string, facts: object): void {
    if (this.#hasSome && JSON.stringify(facts).includes(MARK)) this.#fail(`${kind} logs a secret: ${event}`);
  }

  /** A machine is told to start something. */
  told(vmId: string, command: RunnerCommand): void {
    if (!this.#hasSome || command.kind !== 'start') return;
    const run = this.#world.checker.runs.rows.get(command.runId);
    const agent =
      run && (this.#world.table.get(keys.agentVersion(run.agentId, run.agentVersion)) as AgentVersionRow | undefined);
    if (run === undefined || agent === undefined) return;
    if (command.impossible !== undefined) {
      const missing = IS_MISSING.exec(command.impossible)?.[1];
      if (missing !== undefined && !this.#world.secrets.was(run.tenantId, missing, undefined))
        this.#fail(`${vmId} is told that ${missing} is missing for ${run.id}, and it has always been there`);
      if (JSON.stringify(command).includes(MARK)) this.#fail(`${vmId} is told a secret, and to start nothing`);
      return;
    }
    for (const { id, value } of namedBy(agent, command)) this.#given(vmId, command, run.tenantId, id, value);
  }

  #given(vmId: string, { runId, mask = [] }: Start, tenantId: string, id: string, value: string | undefined): void {
    if (value === undefined || !this.#world.secrets.was(tenantId, id, value))
      this.#fail(`${vmId} is to start ${runId} without its secret ${id}`);
    else if (!mask.includes(value)) this.#fail(`${vmId} is to start ${runId} with ${id}, which is not blanked out`);
  }

  #fail = (what: string): void => this.#world.broken('secrets', what);
}

/** Each secret that the agent names, with what the command has in its place. */
function namedBy({ env = {}, repository }: AgentVersionRow, command: Start) {
  const given = Object.entries(env).flatMap(([name, value]) =>
    typeof value === 'string' ? [] : [{ id: value.secret, value: command.env[name] }],
  );
  return repository?.secret === undefined
    ? given
    : [...given, { id: repository.secret, value: command.repository?.credential }];
}
