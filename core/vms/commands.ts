/** A VM's pending commands as the runner gets them: references on the row become payloads. */
import type { AgentVersionRow } from '../agents/model.ts';
import { isoSecond } from '../contract/common.ts';
import type { RunnerCommand } from '../contract/runner.ts';
import type { Ports } from '../ports.ts';
import type { RunRow } from '../runs/model.ts';
import { payloadOf } from '../runs/payload.ts';
import { keys } from '../table/keys.ts';
import { asRow } from '../table/rows.ts';
import type { VmCommand, VmRow } from './model.ts';

export async function composeCommands(ports: Ports, vm: VmRow): Promise<readonly RunnerCommand[]> {
  const composed: RunnerCommand[] = [];
  for (const command of vm.commands) {
    const ready = await compose(ports, vm, command);
    // In order, each once: what cannot be composed yet holds back what comes after it.
    if (ready === undefined) break;
    composed.push(ready);
  }
  return composed;
}

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
  const run = asRow<RunRow>(await ports.store.get(keys.run(command.runId)));
  if (run === undefined) {
    ports.log.error('command.run_missing', { vmId: vm.id, runId: command.runId });
    return undefined;
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
    return undefined;
  }
  const expiresAt = ports.time.now() + (run.runTimeoutSeconds + 3600) * 1000;
  return {
    number: command.number,
    kind: 'start',
    runId: run.id,
    attempt: command.attempt,
    command: agent.command,
    ...(agent.workingDirectory !== undefined && { workingDirectory: agent.workingDirectory }),
    env: agent.env ?? {},
    input,
    ...(run.occurrence !== undefined && { occurrence: isoSecond(run.occurrence) }),
    runToken: await ports.tokens.sign(
      { kind: 'run', tenantId: run.tenantId, vmId: vm.id, runId: run.id, attempt: command.attempt },
      expiresAt,
    ),
    maxOutputBytes: ports.config.maxOutputBytes,
    maxLogBytes: ports.config.maxLogBytes,
  };
}
