/** A VM's pending commands as the runner gets them: references on the row become payloads. */
import type { AgentVersionRow } from '../agents/model.ts';
import { secretIds } from '../agents/secretRefs.ts';
import { isoSecond } from '../contract/common.ts';
import type { RunnerCommand } from '../contract/runner.ts';
import type { Ports } from '../ports.ts';
import type { RunRow } from '../runs/model.ts';
import { payloadOf } from '../runs/payload.ts';
import * as keys from '../table/itemKeys.ts';
import { asRow } from '../table/rows.ts';
import { isGivenUp, type Slot, type VmCommand, type VmRow } from './model.ts';

export interface Composed {
  readonly commands: readonly RunnerCommand[];
  /** More is to come with the next heartbeat, and need not wait for it to be due. */
  readonly withheld: boolean;
}

/** Why a start is impossible on its VM, and nowhere else. */
export const GIVEN_UP = 'Its VM had been given up before it was started.';

/** @param seq of the heartbeat that is being answered */
export async function composeCommands(ports: Ports, vm: VmRow, seq: number): Promise<Composed> {
  const commands: RunnerCommand[] = [];
  for (const command of vm.commands) {
    // Taken while this heartbeat was handled: it goes out with the next one, so that whoever sees none since then knows
    // that it has not gone out at all.
    if (command.kind === 'start' && !isGivenUp(vm) && takenSince(vm, command, seq)) return { commands, withheld: true };
    const ready = await compose(ports, vm, command);
    // In order, each once: what cannot be composed yet holds back what comes after it.
    if (ready === undefined) break;
    commands.push(ready);
  }
  return { commands, withheld: false };
}

const takenSince = (vm: VmRow, command: Slot, seq: number): boolean => {
  const slot = vm.slots.find(({ runId, attempt }) => runId === command.runId && attempt === command.attempt);
  return slot?.after !== undefined && slot.after.generation === vm.generation && slot.after.seq >= seq;
};

async function compose(ports: Ports, vm: VmRow, command: VmCommand): Promise<RunnerCommand | undefined> {
  switch (command.kind) {
    case 'stop-vm':
      return command;
    case 'cancel': {
      const { force, ...rest } = command;
      const patience = force === true ? 0 : 1000;
      return {
        ...rest,
        interruptMs: ports.config.cancelInterruptSeconds * patience,
        terminateMs: ports.config.cancelTerminateSeconds * patience,
      };
    }
    case 'start':
      return composeStart(ports, vm, command);
  }
}

async function composeStart(
  ports: Ports,
  vm: VmRow,
  command: Extract<VmCommand, { kind: 'start' }>,
): Promise<RunnerCommand | undefined> {
  // What began on it now would be ended with it (I9). The runner's answer lets the run go on to another attempt.
  if (isGivenUp(vm)) return impossibleStart(command, GIVEN_UP);
  const run = asRow<RunRow>(await ports.store.get(keys.run(command.runId)));
  if (run === undefined) {
    ports.log.error('command.run_missing', { vmId: vm.id, runId: command.runId });
    return impossibleStart(command, 'Candor has no record of this run.');
  }
  const [agentItem, inputItem] = await ports.store.getMany([
    keys.agentVersion(run.agentId, run.agentVersion),
    run.inputKey,
  ]);
  const agent = asRow<AgentVersionRow>(agentItem);
  const input = payloadOf(inputItem);
  if (agent === undefined || input === undefined) {
    ports.log.error('command.payload_missing', {
      vmId: vm.id,
      runId: run.id,
      agent: agent !== undefined,
      input: input !== undefined,
    });
    return impossibleStart(command, 'Candor has lost what this run is to be started with.');
  }
  const expiresAt = ports.time.now() + (run.runTimeoutSeconds + 3600) * 1000;
  const base = {
    number: command.number,
    kind: 'start',
    runId: run.id,
    attempt: command.attempt,
    command: agent.command,
    ...(agent.workingDirectory !== undefined && { workingDirectory: agent.workingDirectory }),
    input,
    ...(run.occurrence !== undefined && { occurrence: isoSecond(run.occurrence) }),
    runToken: await ports.tokens.sign(
      { kind: 'run', tenantId: run.tenantId, vmId: vm.id, runId: run.id, attempt: command.attempt },
      expiresAt,
    ),
    maxOutputBytes: Math.min(agent.limits?.maxOutputBytes ?? ports.config.maxOutputBytes, ports.config.maxOutputBytes),
    maxLogBytes: ports.config.maxLogBytes,
    ...(artifactGlobs(agent).length > 0 && { artifacts: artifactGlobs(agent) }),
  } as const;
  const secrets = await secretsOf(ports, run.tenantId, agent).catch((error: unknown) => {
    ports.log.error('command.secrets_unreadable', { vmId: vm.id, runId: run.id, error: String(error) });
    return undefined;
  });
  // It is read again for the next heartbeat; but a cancel that stands behind it must not wait for that.
  if (secrets === undefined)
    return isCancelled(vm, command)
      ? impossibleStart(command, 'It was cancelled before its secrets could be read.')
      : undefined;
  if (secrets.missing !== undefined)
    return {
      ...base,
      env: {},
      impossible: `The secret ${secrets.missing} does not exist, or may not be read. Store it, then run this again.`,
    };
  const timeoutMs = 1000 * (agent.limits?.setupTimeout ?? ports.config.setupTimeoutSeconds);
  const { repository } = agent;
  const credential = repository?.secret === undefined ? undefined : secrets.values.get(repository.secret);
  return {
    ...base,
    env: environmentOf(agent, secrets.values),
    ...(secrets.values.size > 0 && { mask: [...secrets.values.values()] }),
    ...(agent.setup !== undefined && agent.setup.length > 0 && { setup: { commands: agent.setup, timeoutMs } }),
    ...(repository !== undefined && {
      repository: {
        url: repository.url,
        ref: repository.ref,
        timeoutMs,
        ...(credential !== undefined && { credential }),
      },
    }),
  };
}

const isCancelled = (vm: VmRow, { runId, attempt }: Slot): boolean =>
  vm.commands.some((each) => each.kind === 'cancel' && each.runId === runId && each.attempt === attempt);

/** A start that can never be made, which the runner reports as such: it must not hold back the commands behind it. */
const impossibleStart = (
  { number, runId, attempt }: Extract<VmCommand, { kind: 'start' }>,
  impossible: string,
): RunnerCommand => ({
  number,
  kind: 'start',
  runId,
  attempt,
  command: ['false'],
  env: {},
  input: null,
  runToken: '',
  maxOutputBytes: 0,
  maxLogBytes: 0,
  impossible,
});

/** What proves success is collected too, where it is an artifact. */
const artifactGlobs = (agent: AgentVersionRow): readonly string[] => {
  const proof = agent.successCriteria?.artifact;
  return [...new Set([...(agent.artifacts ?? []), ...(proof === undefined ? [] : [proof])])];
};

interface Secrets {
  readonly values: ReadonlyMap<string, string>;
  readonly missing?: string;
}

/** The values that the agent refers to. They are read for each start: what was changed since holds for the next one. */
async function secretsOf(ports: Ports, tenantId: string, agent: AgentVersionRow): Promise<Secrets> {
  const values = new Map<string, string>();
  for (const id of secretIds(agent)) {
    const value = await ports.secrets.read(tenantId, id);
    if (value === undefined) return { values, missing: id };
    values.set(id, value);
  }
  return { values };
}

const environmentOf = (agent: AgentVersionRow, secrets: ReadonlyMap<string, string>): Record<string, string> =>
  Object.fromEntries(
    Object.entries(agent.env ?? {}).map(([name, value]) => [
      name,
      typeof value === 'string' ? value : (secrets.get(value.secret) ?? ''),
    ]),
  );
