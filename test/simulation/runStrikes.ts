/** What rivals do to runs and VMs that makes exactly one guard's condition false, by name. {@link Rivals} says when. */
import type { RunRow } from '../../core/runs/model.ts';
import { isGivenUp } from '../../core/vms/model.ts';
import { observeVm } from '../../core/vms/release.ts';
import type { Clients } from './clients.ts';
import type { Ec2Instance } from './ec2.ts';
import { watchdogTick } from './watchdog.ts';
import type { Simulation } from './world.ts';

/** @param id of the run, or of the VM, whose item carries the guard */
export type RunStrike = (world: Simulation, clients: Clients, id: string) => void;

const LOOK_AGAIN_MS = 2000;
/** A lease, and what the watchdog waits until it escalates once more. */
const GIVEN_UP_WITHIN_MS = 150_000;

const liveChildrenOf = ({ checker }: Simulation, id: string): readonly RunRow[] =>
  [...checker.runs.live].map((each) => checker.runs.rows.get(each) as RunRow).filter((run) => run.parentRunId === id);

/** Of a VM, or of the one that has this run. */
function instanceOf({ ec2, checker }: Simulation, id: string): Ec2Instance | undefined {
  const vmId = id.startsWith('run_') ? checker.runs.rows.get(id)?.vmId : id;
  return ec2.instances.findLast((each) => each.vmId === vmId);
}

/** It is ended where it is at work; where it is not, it is cancelled, and that is its end at once. */
function end(world: Simulation, clients: Clients, run: RunRow): void {
  const at = instanceOf(world, run.id)?.machine;
  if (at?.endWorkOf({ runId: run.id, attempt: run.attempt }) !== true) clients.rival('cancel_run', run.id);
}

export const RUN_STRIKES = {
  child_begins: (_world, clients, id) => void clients.startChild(id),
  child_comes_and_goes: (_world, clients, id) =>
    void clients.startChild(id).then((child) => child !== undefined && clients.rival('cancel_run', child)),
  child_ends: (world, clients, id) => {
    const children = liveChildrenOf(world, id);
    // One that no VM has yet ends in one step.
    const child = children.find(({ vmId }) => vmId === undefined) ?? children[0];
    if (child !== undefined) end(world, clients, child);
  },
  children_end: (world, clients, id) => {
    for (const child of liveChildrenOf(world, id)) end(world, clients, child);
  },
  children_sealed: (_world, clients, id) => void clients.seal(id),
  own_end: (world, clients, id) => {
    const run = world.checker.runs.rows.get(id);
    if (run !== undefined) end(world, clients, run);
  },
  others_end: (world, clients, id) => {
    const { rows, live } = world.checker.runs;
    const agentId = rows.get(id)?.agentId;
    for (const other of [...live].map((each) => rows.get(each) as RunRow))
      if (other.id !== id && other.agentId === agentId && other.status === 'running') end(world, clients, other);
  },
  registers_again: (world, _clients, id) => instanceOf(world, id)?.machine.restartRunner(),
  reconnects: (world, _clients, id) => instanceOf(world, id)?.machine.reconnect(),
  /** Cut off, and looked at until it is given up; or until whoever waits for that goes on. */
  is_given_up: (world, _clients, id) => {
    instanceOf(world, id)?.machine.cutOff(GIVEN_UP_WITHIN_MS);
    const until = world.time.now + GIVEN_UP_WITHIN_MS;
    const look = () => {
      const vm = world.checker.vms.rows.get(id);
      if (vm === undefined || isGivenUp(vm) || world.isCalm || world.time.now > until) return;
      void watchdogTick(world).then(() => world.time.after(LOOK_AGAIN_MS, look));
    };
    look();
  },
  /** It ends, and its end is seen as soon as EC2 shows it. */
  is_gone: (world, _clients, id) => {
    const instance = instanceOf(world, id);
    if (instance === undefined) return;
    world.ec2.end(instance, 'Server.InternalError');
    const { vmId } = instance;
    const look = () => {
      if (world.isCalm || world.checker.vms.rows.get(vmId)?.status === 'terminated') return;
      void world
        .invoke('watchdog', (ports) => observeVm(ports, vmId))
        .then(() => world.time.after(LOOK_AGAIN_MS, look));
    };
    look();
  },
} satisfies Readonly<Record<string, RunStrike>>;
