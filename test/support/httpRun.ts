/** A run that its VM reports as running, started over HTTP. */
import { heartbeat } from '../../core/vms/heartbeat.ts';
import { launchVm } from '../../core/vms/provision.ts';
import { registerRunner } from '../../core/vms/register.ts';
import type { HttpWorld, SendOptions } from './httpWorld.ts';

const TENANT = 'tenant_a';

/** `report` sends what the runner says next. */
export async function running(world: HttpWorld, agentId: string, options: SendOptions = { body: {} }) {
  const made = await world.send('POST', `/v1/agents/${agentId}/runs`, options);
  if (made.status !== 202) throw new Error(`no run was made: ${made.text}`);
  return atWork(world, made.body.id);
}

/** The same of a run that has been made already. */
export async function atWork(world: HttpWorld, runId: string) {
  const { vmId } = await launchVm(world.ports, { tenantId: TENANT, runId, attempt: 1 });
  const nonce = `nonce-${vmId}`;
  const claims = { kind: 'registration', tenantId: TENANT, vmId } as const;
  await registerRunner(world.ports, claims, { vmId, nonce, runnerVersion: 't' });
  let seq = 0;
  const report = (registry: object[], acks = 1) =>
    heartbeat(
      world.ports,
      { kind: 'vm', tenantId: TENANT, vmId, generation: 1 },
      { vmId, generation: 1, seq: ++seq, acks, registry: registry as never },
    );
  await report([], 0);
  await report([{ runId, attempt: 1, state: 'running', pid: 1, startedAgoMs: 5 }]);
  const sign = (kind: 'run' | 'vm') =>
    world.ports.tokens.sign(
      kind === 'run'
        ? { kind, tenantId: TENANT, vmId, runId, attempt: 1 }
        : { kind, tenantId: TENANT, vmId, generation: 1 },
      world.now.ms + 60_000,
    );
  return { id: runId, vmId, report, runToken: await sign('run'), vmToken: await sign('vm') };
}
