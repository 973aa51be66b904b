/**
 * The heartbeat: the runner's only door (design.md §5.5). It renews the lease, takes in what the runner knows of its
 * runs, and answers with the commands that have not been acknowledged, each with its payload.
 */
import type { CoreConfig } from '../config.ts';
import type { HeartbeatRequest, HeartbeatResponse, RegistryEntry } from '../contract/runner.ts';
import { CandorError } from '../errors.ts';
import type { Ports, TokenClaims } from '../ports.ts';
import type { RunRow } from '../runs/model.ts';
import { commit } from '../table/commit.ts';
import * as keys from '../table/itemKeys.ts';
import { eq, guard } from '../table/model.ts';
import { asRow, asValue } from '../table/rows.ts';
import { changeVm, renewedUntil, vmProof } from './change.ts';
import { type Composed, composeCommands } from './commands.ts';
import { noteHeard } from './heard.ts';
import { isGivenUp, type Slot, stillUnsent, type VmRow } from './model.ts';
import { noteMissing, type Taken, takeReport } from './report.ts';
import { checkToken, vmToken } from './runnerToken.ts';

type Identity = Extract<TokenClaims, { kind: 'vm' }>;

/** @throws CandorError `stale_generation`, `stale_heartbeat`, `unauthenticated`, `illegal_transition` for a VM that is gone */
export async function heartbeat(
  ports: Ports,
  identity: Identity,
  request: HeartbeatRequest,
): Promise<HeartbeatResponse> {
  if (identity.vmId !== request.vmId) throw new CandorError('unauthenticated', 'The token belongs to another VM.');
  const { vm, runs, rotate, pending } = await renewLease(ports, identity, request);
  await noteHeard(ports);
  const acknowledged: Slot[] = [];
  let changed = false;
  let vmChanged = false;
  for (const entry of request.registry) {
    const taken = await takeAlone(ports, vm, runs.get(entry.runId), entry, !vmChanged);
    if (taken.acknowledge) acknowledged.push({ runId: entry.runId, attempt: entry.attempt });
    changed ||= taken.changed;
    vmChanged ||= taken.vmChanged;
  }
  if (await noteMissing(ports, vm, request, pending)) changed = vmChanged = true;
  // What was just decided may have queued commands (an ended run lets the VM go): they leave with this answer.
  const standing = vmChanged ? (asRow<VmRow>(await ports.store.get(keys.vm(vm.id))) ?? vm) : vm;
  // A registration since has taken over from this runner: it is told nothing more, and gets no token of the new one (I7).
  const isSuperseded = standing.generation !== vm.generation;
  const { commands, withheld } = isSuperseded ? NOTHING : await composeCommands(ports, standing, request.seq);
  const active = changed || commands.length > 0 || anyUnsteady(standing, runs);
  return {
    commands,
    acknowledged,
    nextHeartbeatMs: withheld ? 0 : 1000 * paceSeconds(ports.config, standing, active),
    leaseMs: ports.config.leaseSeconds * 1000,
    ...(rotate && !isSuperseded && { token: await vmToken(ports, standing) }),
  };
}

const NOTHING: Composed = { commands: [], withheld: false };

/** What cannot be taken in now comes again with the next heartbeat; the other runs of the VM do not wait for it. */
async function takeAlone(
  ports: Ports,
  vm: VmRow,
  run: RunRow | undefined,
  entry: RegistryEntry,
  vmStands: boolean,
): Promise<Taken> {
  try {
    return await takeReport(ports, vm, run, entry, vmStands);
  } catch (error) {
    const { runId, attempt, state } = entry;
    ports.log.error('heartbeat.report_not_taken', { vmId: vm.id, runId, attempt, state, error: String(error) });
    return { acknowledge: false, changed: true, vmChanged: true };
  }
}

/** A VM that is kept warm reports as often as a run on it should have to wait. */
function paceSeconds(config: CoreConfig, vm: VmRow, active: boolean): number {
  const warm = vm.status === 'ready' && vm.slots.length === 0 && (vm.warmForSeconds ?? 0) > 0;
  if (warm && !active) return config.heartbeatWarmSeconds;
  return active || vm.slots.length === 0 ? config.heartbeatActiveSeconds : config.heartbeatIdleSeconds;
}

/** Somebody waits for what the runner does next: then it reports at the quick pace. */
const anyUnsteady = (vm: VmRow, runs: ReadonlyMap<string, RunRow>): boolean =>
  vm.slots.some((slot) => runs.get(slot.runId)?.status !== 'running');

interface Renewed {
  readonly vm: VmRow;
  readonly runs: ReadonlyMap<string, RunRow>;
  readonly rotate: boolean;
  /** The commands that had not been acknowledged before this heartbeat. */
  readonly pending: VmRow['commands'];
}

function renewLease(ports: Ports, identity: Identity, request: HeartbeatRequest): Promise<Renewed> {
  return commit<Renewed>(ports, async (writer) => {
    const runKeys = request.registry.map((entry) => keys.run(entry.runId));
    const [vmItem, ...runItems] = await ports.store.getMany([keys.vm(identity.vmId), ...runKeys]);
    const vm = fenced(asRow<VmRow>(vmItem), identity, request);
    const runs = new Map<string, RunRow>();
    for (const item of runItems) {
      const run = asRow<RunRow>(item);
      if (run !== undefined && run.tenantId === vm.tenantId) runs.set(run.id, run);
    }
    const now = ports.time.now();
    const { rotate, ...token } = tokenAfter(ports.config, vm, identity.number ?? 0, now);
    const renewed = {
      heartbeatSeq: request.seq,
      lastHeartbeatAt: now,
      leaseUntil: now + ports.config.leaseSeconds * 1000,
      ...token,
    };
    const commands = vm.commands.filter((command) => command.number > request.acks);
    const recovers = vm.status === 'unresponsive';
    // A drain by order outlasts a silence.
    const recovered = vm.drain === undefined ? ('ready' as const) : ('draining' as const);
    // A VM that is given up is sent no start.
    const slots = isGivenUp(vm) ? stillUnsent(vm, vm.generation, request.seq) : vm.slots;
    const after: VmRow = { ...vm, ...renewed, commands, slots, ...(recovers && { status: recovered }) };
    // A plain heartbeat does not raise the version, so the version alone does not tell that another one overtook this.
    const guards = [
      guard('heartbeat.sameGeneration', eq('generation', vm.generation)),
      guard('heartbeat.inOrder', { op: 'lt', attribute: 'heartbeatSeq', value: request.seq } as const),
      // It is not gone, nor given up, not even where it drained by order before: its starts go out with the answer (I9).
      guard('heartbeat.sameStatus', eq('status', vm.status)),
      guard('heartbeat.sameOrder', { op: vm.drain === undefined ? 'hasNot' : 'has', attribute: 'drain' } as const),
    ];
    if (commands.length === vm.commands.length && slots === vm.slots && !recovers) {
      return {
        writes: [{ kind: 'update', key: keys.vm(vm.id), set: { ...renewed, writer }, guards }],
        proof: keys.vm(vm.id),
        result: { vm: after, runs, rotate, pending: vm.commands },
      };
    }
    const { deadlineAt, checkAt } = renewedUntil(ports.config, vm, renewed.leaseUntil);
    const change = {
      ...(recovers && {
        status: recovered,
        evidence: { source: 'runner', observedAt: new Date(now).toISOString(), detail: 'it reports again' },
        deadlineAt,
      }),
      set: {
        ...renewed,
        commands: asValue(commands),
        ...(slots !== vm.slots && { slots: asValue(slots) }),
        ...(recovers && { checkAt, unresponsiveSince: undefined }),
      },
      guards,
    };
    return {
      writes: changeVm(ports.config, vm, change, now, writer),
      proof: vmProof(vm, change),
      result: { vm: { ...after, version: vm.version + 1 }, runs, rotate, pending: vm.commands },
    };
  });
}

/** A token is handed out in the middle of the life of the one before it, and again until the runner has used it. */
function tokenAfter(config: CoreConfig, vm: VmRow, used: number, now: number) {
  const { tokenIssuedAt = vm.createdAt, tokenNumber = 0, tokenUsed = 0 } = vm;
  const isOld = now - tokenIssuedAt > (config.runnerTokenSeconds * 1000) / 2;
  return {
    rotate: isOld || used < tokenNumber,
    ...(isOld && { tokenIssuedAt: now, tokenNumber: tokenNumber + 1 }),
    ...(used > tokenUsed && { tokenUsed: used }),
  };
}

/** (generation, seq) must exceed what is stored: older registrations and overtaken requests change nothing. */
function fenced(vm: VmRow | undefined, identity: Identity, request: HeartbeatRequest): VmRow {
  if (vm === undefined || vm.tenantId !== identity.tenantId)
    throw new CandorError('unauthenticated', `There is no VM ${identity.vmId}.`, { remedy: 'Stop this runner.' });
  if (identity.generation !== request.generation)
    throw new CandorError('stale_generation', `The token is of generation ${identity.generation}.`, {
      remedy: 'Send the generation that the token was given for.',
    });
  // fence: fence.generation
  checkToken(vm, identity);
  // fence: fence.heartbeatOrder
  if (request.seq <= vm.heartbeatSeq)
    throw new CandorError('stale_heartbeat', `Heartbeat ${vm.heartbeatSeq} has been handled already.`, {
      remedy: 'Send the present state with a higher seq.',
    });
  return vm;
}
