/**
 * Registration (design.md §5.5): a runner shows the VM's key and gets a token bound to tenant, VM and generation.
 * The same nonce again is the same registration; a new one raises the generation and fences off what came before.
 */
import type { RegisterRequest, RegisterResponse } from '../contract/runner.ts';
import { CandorError } from '../errors.ts';
import type { Ports, TokenClaims } from '../ports.ts';
import { evidence } from '../runs/change.ts';
import { claimDispatch } from '../runs/dispatch.ts';
import { commit } from '../table/commit.ts';
import { soonerLook } from '../table/deadline.ts';
import * as keys from '../table/itemKeys.ts';
import { asRow, asValue } from '../table/rows.ts';
import { changeVm, renewedUntil, vmProof } from './change.ts';
import { offerRoom } from './handOver.ts';
import { stillUnsent, type VmRow } from './model.ts';
import { releaseVm } from './release.ts';
import { vmToken } from './runnerToken.ts';
import { taskTokenOf } from './taskToken.ts';

/** A VM whose runner starts more often than that has other troubles. */
const PAST_NONCES_MAX = 16;

type Identity = Extract<TokenClaims, { kind: 'registration' }>;

/** @throws CandorError `try_again` before the instance is stored, `unauthenticated`, `illegal_transition` for a VM that is gone */
export async function registerRunner(
  ports: Ports,
  identity: Identity,
  request: RegisterRequest,
): Promise<RegisterResponse> {
  if (identity.vmId !== request.vmId) throw new CandorError('unauthenticated', 'The key belongs to another VM.');
  let isFirst = false;
  const vm = await commit<VmRow>(ports, async (writer) => {
    const row = asRow<VmRow>(await ports.store.get(keys.vm(identity.vmId)));
    // Before the question for its instance: a VM that ended before its launch was answered never gets one.
    if (row?.status === 'terminated' && row.tenantId === identity.tenantId)
      throw new CandorError('illegal_transition', `${identity.vmId} has been observed terminated.`, {
        remedy: 'Stop this runner.',
      });
    if (row === undefined || row.tenantId !== identity.tenantId || row.instanceId === undefined)
      throw new CandorError('try_again', `${identity.vmId} is not known yet.`, {
        remedy: 'Register again in a moment.',
      });
    if (row.nonce === request.nonce) return { done: row };
    if (row.pastNonces?.includes(request.nonce)) throw replayed(row);
    const now = ports.time.now();
    // fence: table.vmRegisters
    const becomesReady = row.status !== 'draining' && row.status !== 'ready';
    // A drain by order outlasts a silence.
    const status = !becomesReady ? row.status : row.drain === undefined ? 'ready' : 'draining';
    const generation = row.generation + 1;
    isFirst = row.registeredAt === undefined;
    const attributes = {
      nonce: request.nonce,
      ...(row.nonce !== undefined && { pastNonces: [...(row.pastNonces ?? []), row.nonce].slice(-PAST_NONCES_MAX) }),
      generation,
      heartbeatSeq: 0,
      registeredAt: row.registeredAt ?? now,
      lastHeartbeatAt: now,
      tokenIssuedAt: now,
      tokenNumber: 0,
      tokenUsed: 0,
      leaseUntil: now + ports.config.leaseSeconds * 1000,
    };
    const { deadlineAt, checkAt } = renewedUntil(ports.config, row, attributes.leaseUntil);
    const slots = stillUnsent(row, generation, 0);
    const change = {
      ...(becomesReady && {
        status,
        evidence: evidence('runner', now, `runner ${request.runnerVersion} registered, generation ${generation}`),
        deadlineAt,
      }),
      set: {
        ...attributes,
        ...(slots !== row.slots && { slots: asValue(slots) }),
        ...(becomesReady && { unresponsiveSince: undefined, checkAt: soonerLook(row.checkAt, checkAt) }),
      },
    } as const;
    return {
      writes: changeVm(ports.config, row, change, now, writer),
      proof: vmProof(row, change),
      result: { ...row, ...attributes, slots, status },
    };
  });
  if (isFirst) ports.metrics.put('TimeToReadySeconds', ((vm.registeredAt ?? vm.createdAt) - vm.createdAt) / 1000);
  await dispatchPurpose(ports, vm);
  return {
    generation: vm.generation,
    token: await vmToken(ports, vm),
    nextHeartbeatMs: 0,
  };
}

/** The VM was launched for a run: it gets it now, without waiting for the state machine, which is told afterwards. */
async function dispatchPurpose(ports: Ports, vm: VmRow): Promise<void> {
  if (vm.status !== 'ready') return;
  const claim = await claimDispatch(ports, vm.purpose.runId, vm.purpose.attempt, vm.id);
  // Room on it for others: those who wait for it need not wait for an end.
  if (claim === 'claimed' && (vm.slotCount ?? 1) > 1)
    await offerRoom(ports, vm).catch((error: unknown) =>
      ports.log.warn('register.room_not_offered', { vmId: vm.id, error: String(error) }),
    );
  // Kept warm since its first run has ended: then its runner was started anew, and the VM stays what it was.
  if ((claim === 'moved_on' || claim === 'vm_unfit') && vm.idleSince === undefined)
    await releaseVm(ports, vm.id, `run ${vm.purpose.runId} needs it no more`);
  const taskToken = await taskTokenOf(ports, vm);
  if (taskToken !== undefined) await ports.workflow.signal(taskToken, { vmId: vm.id });
}

const replayed = (vm: VmRow) =>
  new CandorError('stale_generation', `This registration of ${vm.id} has been superseded: it is at ${vm.generation}.`, {
    remedy: 'Stop this runner; a newer one has taken over its work.',
  });
