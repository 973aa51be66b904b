import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { LocalFleet, type LocalFleetOptions } from '../../../adapters/local/fleet.ts';
import { identify, processesWithMark, sendSignal } from '../../../adapters/local/procfs.ts';
import { systemTime } from '../../../adapters/system/time.ts';
import { QuotaExceeded } from '../../../core/vms/launchErrors.ts';
import { fleetContract } from '../../contracts/fleet.ts';
import { afterThisTest, eventually, fixture, silent, startProgram, temporaryFolder } from './support.ts';

const AGENT = 'agt_1';
let count = 0;

/** An id that no other test uses, as the mark of a VM is looked for on the whole machine. */
const newVmId = () => `vm_test_${process.pid}_${Date.now()}_${count++}`;

function makeFleet(dataDir: string, options: Partial<LocalFleetOptions> = {}): LocalFleet {
  const fleet = new LocalFleet({
    dataDir,
    serverUrl: () => 'http://127.0.0.1:1',
    environment: process.env,
    log: silent,
    time: systemTime,
    runnerCommand: [process.execPath, fixture('fakeRunner.ts')],
    ...options,
  });
  afterThisTest(() => fleet.close({ keep: false }));
  return fleet;
}

const spec = (vmId: string, clientToken = 'token-1') => ({
  tenantId: 't1',
  vmId,
  agentId: AGENT,
  clientToken,
  runId: 'run_1',
  attempt: 1,
  number: 1,
  plan: { pools: [] },
  registrationKey: async () => 'the-key',
});

const marked = (vmId: string) => processesWithMark('CANDOR_VM_ID', vmId).map(({ pid }) => pid);

function folderOf(dataDir: string, vmId: string) {
  const folder = path.join(dataDir, 'vms', vmId);
  const file = (name: string) => path.join(folder, name);
  const starts = () =>
    existsSync(file('starts')) ? readFileSync(file('starts'), 'utf8').trim().split('\n').map(Number) : [];
  return {
    folder,
    file,
    starts,
    json: (name: string) => JSON.parse(readFileSync(file(name), 'utf8')),
    ask: (what: string) => writeFileSync(file(what), ''),
    /** The pid of the runner once it has started for the nth time. */
    started: (nth: number) =>
      eventually(() => {
        const pid = starts()[nth - 1];
        if (pid === undefined) throw new Error(`start ${nth} has not come yet`);
        return pid;
      }),
    /** Has the runner start a process in a session of its own, and answers its pid. */
    async work() {
      writeFileSync(file('ask-work'), '');
      return Number(
        await eventually(() => readFileSync(file('work.pid'), 'utf8') || Promise.reject(new Error('empty'))),
      );
    },
  };
}

async function launched(options: Partial<LocalFleetOptions> = {}) {
  const dataDir = temporaryFolder();
  const fleet = makeFleet(dataDir, options);
  const vmId = newVmId();
  const { instanceId } = await fleet.launch(spec(vmId));
  const vm = folderOf(dataDir, vmId);
  const pid = await vm.started(1);
  return { dataDir, fleet, vmId, instanceId, vm, pid };
}

fleetContract('the fleet of one machine', () => ({
  fleet: makeFleet(temporaryFolder()),
  newVmId,
  settle: async () => {},
  now: systemTime.now,
}));

describe('launching', () => {
  it('starts a runner that knows where to register, in files that only the owner can read', async () => {
    const { vm, vmId, instanceId, fleet } = await launched();

    expect(vm.json('runner.json')).toEqual({ vmId, url: 'http://127.0.0.1:1', key: 'the-key' });
    expect(vm.json('vm.json')).toMatchObject({
      vmId,
      tenantId: 't1',
      agentId: AGENT,
      instanceId,
      clientToken: 'token-1',
    });
    for (const name of ['runner.json', 'vm.json', 'runner.log'])
      expect(statSync(vm.file(name)).mode & 0o777).toBe(0o600);
    expect(await fleet.observe(vmId, instanceId)).toMatchObject({ status: 'running' });
  });

  it('gives the runner nothing of our environment but what it needs', async () => {
    const { vm, vmId, dataDir } = await launched({
      environment: { PATH: process.env.PATH, AWS_SECRET_ACCESS_KEY: 'x' },
    });

    const environment = await eventually(() => vm.json('environment.json'));

    expect(environment).toEqual({
      PATH: process.env.PATH,
      CANDOR_VM_ID: vmId,
      NODE_COMPILE_CACHE: path.join(dataDir, 'cache'),
    });
  });

  it('answers the same token with the same instance, however often and at once it comes', async () => {
    const dataDir = temporaryFolder();
    const fleet = makeFleet(dataDir);
    const vmId = newVmId();

    const answers = await Promise.all([1, 2, 3].map(() => fleet.launch(spec(vmId))));
    await folderOf(dataDir, vmId).started(1);

    expect(new Set(answers.map((answer) => answer.instanceId)).size).toBe(1);
    expect(marked(vmId)).toHaveLength(1);
  });

  it('launches nothing for the token of an instance that has ended', async () => {
    const { fleet, vmId, instanceId, dataDir } = await launched();
    await fleet.terminate(vmId, instanceId);

    const again = await makeFleet(dataDir).launch(spec(vmId));

    expect(again.instanceId).toBe(instanceId);
    expect(marked(vmId)).toEqual([]);
  });

  it('starts no second instance of a VM under another token while the first is there, but does afterwards', async () => {
    const { fleet, vmId, instanceId, vm } = await launched();

    await expect(fleet.launch(spec(vmId, 'token-2'))).rejects.toMatchObject({ name: 'CapacityUnavailable' });
    await fleet.terminate(vmId, instanceId);
    const second = await fleet.launch(spec(vmId, 'token-2'));

    expect(second.instanceId).not.toBe(instanceId);
    await vm.started(1);
  });

  it('fails as a fault that was planted says, and leaves nothing behind', async () => {
    const dataDir = temporaryFolder();
    const faults: Error[] = [new QuotaExceeded('no', [{ type: 'm7i.large', code: 'VcpuLimitExceeded' }])];
    const fleet = makeFleet(dataDir, { launchFault: () => faults.shift() });
    const vmId = newVmId();

    await expect(fleet.launch(spec(vmId))).rejects.toMatchObject({
      name: 'QuotaExceeded',
      tried: [{ type: 'm7i.large', code: 'VcpuLimitExceeded' }],
    });
    expect(existsSync(path.join(dataDir, 'vms', vmId))).toBe(false);

    await fleet.launch(spec(vmId));
  });

  it('says that it is misconfigured when the runner program cannot be started', async () => {
    const dataDir = temporaryFolder();
    const vmId = newVmId();
    const fleet = makeFleet(dataDir, { runnerCommand: ['/no/such/program'] });

    await expect(fleet.launch(spec(vmId))).rejects.toMatchObject({ name: 'LaunchMisconfigured' });
    expect(readdirSync(path.join(dataDir, 'vms'))).toEqual([]);
  });

  it('refuses an id that would lead out of its folder', async () => {
    await expect(makeFleet(temporaryFolder()).launch(spec('../vm_1'))).rejects.toThrow('is not the id of a VM');
  });
});

describe('supervising', () => {
  it('starts a runner again that was killed, each time, and never calls the VM terminated meanwhile', async () => {
    const { fleet, vmId, instanceId, vm, pid } = await launched();

    for (let nth = 1, current = pid; nth <= 3; nth++) {
      sendSignal(current, 'SIGKILL');
      expect(await fleet.observe(vmId, instanceId)).toMatchObject({ status: 'running' });
      current = await vm.started(nth + 1);
    }

    expect(new Set(vm.starts()).size).toBe(4);
    expect(marked(vmId)).toHaveLength(1);
  });

  it('leaves a runner in peace that stopped by order, tells of it once, and forgets the VM when it was seen gone', async () => {
    const exits: string[] = [];
    const { fleet, vmId, instanceId, vm } = await launched({ onExit: (ended) => exits.push(ended) });

    vm.ask('ask-stop');
    await eventually(() => expect(exits).toEqual([vmId]));

    expect(await fleet.observe(vmId, instanceId)).toEqual({
      status: 'terminated',
      detail: `no process carries the mark of ${vmId}; its runner stopped by order`,
    });
    expect(existsSync(vm.folder)).toBe(false);
    expect(await fleet.observe(vmId, instanceId)).toMatchObject({
      status: 'terminated',
      detail: expect.stringContaining('its runner stopped by order'),
    });
    expect(exits).toEqual([vmId]);
  });

  it('ends what a runner that stopped by order has left behind', async () => {
    const { fleet, vmId, instanceId, vm } = await launched();
    const work = await vm.work();

    vm.ask('ask-stop');
    await eventually(async () => expect((await fleet.observe(vmId, instanceId)).status).toBe('terminated'));

    expect(identify(work)).toBeUndefined();
  });
});

describe('observing', () => {
  it('never says terminated while a process with the mark lives', async () => {
    const { fleet, vmId, instanceId, vm, pid } = await launched();
    const work = await vm.work();
    await fleet.close({ keep: true });
    const onlooker = new LocalFleet({
      dataDir: path.join(vm.folder, '..', '..', 'elsewhere'),
      serverUrl: () => '',
      environment: {},
      log: silent,
      time: systemTime,
    });

    // Even with the runner dead, its orders to stop in place and the folder of another world: the mark decides.
    sendSignal(pid, 'SIGKILL');
    vm.ask('stopped');
    await eventually(() => expect(marked(vmId)).toEqual([work]));

    const detail = expect.stringContaining(`a process carries the mark of ${vmId} (pid ${work})`);
    expect(await fleet.observe(vmId, instanceId)).toEqual({ status: 'running', detail });
    expect(await onlooker.observe(vmId, instanceId)).toEqual({ status: 'running', detail });
    expect(existsSync(vm.folder)).toBe(true);

    sendSignal(work, 'SIGKILL');
    await eventually(async () => expect((await fleet.observe(vmId, instanceId)).status).toBe('terminated'));
  });

  it('says that it does not know about a dead runner that nobody has taken up', async () => {
    const { fleet, vmId, instanceId, pid, dataDir } = await launched();
    await fleet.close({ keep: true });
    sendSignal(pid, 'SIGKILL');
    await eventually(() => expect(marked(vmId)).toEqual([]));

    expect(await makeFleet(dataDir).observe(vmId, instanceId)).toMatchObject({ status: 'unknown' });
  });

  it('calls a VM terminated of which there is neither a process nor a folder', async () => {
    const vmId = newVmId();

    expect(await makeFleet(temporaryFolder()).observe(vmId, undefined)).toEqual({
      status: 'terminated',
      detail: `no process carries the mark of ${vmId}, and it has no folder`,
    });
  });
});

describe('terminating', () => {
  it('ends every process with the mark, also one in a session of its own, and removes the folder', async () => {
    const { fleet, vmId, instanceId, vm, pid } = await launched();
    const work = await vm.work();

    await fleet.terminate(vmId, instanceId);

    expect(identify(pid)).toBeUndefined();
    expect(identify(work)).toBeUndefined();
    expect(existsSync(vm.folder)).toBe(false);
    expect(await fleet.observe(vmId, instanceId)).toMatchObject({
      status: 'terminated',
      detail: expect.stringContaining('it was terminated'),
    });
  });

  it('is success for a VM that is not there, twice as once', async () => {
    const { fleet, vmId, instanceId } = await launched();

    await Promise.all([fleet.terminate(vmId, instanceId), fleet.terminate(vmId, instanceId)]);
    await fleet.terminate(newVmId(), undefined);

    expect(marked(vmId)).toEqual([]);
  });

  it('leaves other VMs alone', async () => {
    const { fleet, vmId, instanceId, pid } = await launched();
    const other = newVmId();
    await fleet.launch(spec(other));

    await fleet.terminate(other, undefined);

    expect(marked(vmId)).toEqual([pid]);
    expect(await fleet.observe(vmId, instanceId)).toMatchObject({ status: 'running' });
  });
});

describe('adopting, after the process that supervised was killed', () => {
  async function orphaned() {
    const dataDir = temporaryFolder();
    const vmId = newVmId();
    const supervisor = await startProgram('superviseVm.ts', dataDir, vmId, 'token-1');
    afterThisTest(() => marked(vmId).map((pid) => sendSignal(pid, 'SIGKILL')));
    const vm = folderOf(dataDir, vmId);
    const pid = await vm.started(1);
    supervisor.child.kill('SIGKILL');
    await eventually(() => expect(identify(supervisor.pid)).toBeUndefined());
    return { dataDir, vmId, vm, pid, instanceId: String(supervisor.ready.instanceId) };
  }

  it('takes up the runner that lives on, knows its token, and starts it again when it dies', async () => {
    const { dataDir, vmId, vm, pid, instanceId } = await orphaned();
    const fleet = makeFleet(dataDir, { serverUrl: () => 'http://127.0.0.1:2' });

    await fleet.adopt();

    expect(marked(vmId)).toEqual([pid]);
    expect(await fleet.launch(spec(vmId))).toEqual({ instanceId });
    expect(vm.json('runner.json')).toEqual({ vmId, url: 'http://127.0.0.1:2', key: 'k' });
    sendSignal(pid, 'SIGKILL');
    const second = await vm.started(2);
    await eventually(() => expect(marked(vmId)).toEqual([second]));
  });

  it('finds the runner by its mark when its pid was not written down', async () => {
    const { dataDir, vm, pid } = await orphaned();
    const { runner: _, ...unwritten } = vm.json('vm.json');
    writeFileSync(vm.file('vm.json'), JSON.stringify(unwritten));

    await makeFleet(dataDir).adopt();

    expect(vm.starts()).toEqual([pid]);
    expect(vm.json('vm.json').runner.pid).toBe(pid);
  });

  it('does not take work for the runner', async () => {
    const { dataDir, vm, pid } = await orphaned();
    const work = await vm.work();
    sendSignal(pid, 'SIGKILL');
    await eventually(() => expect(identify(pid)).toBeUndefined());

    await makeFleet(dataDir).adopt();
    await vm.started(2);

    expect(identify(work)).toBeDefined();
  });

  it('starts a runner that is dead', async () => {
    const { dataDir, vmId, vm, pid, instanceId } = await orphaned();
    sendSignal(pid, 'SIGKILL');
    await eventually(() => expect(marked(vmId)).toEqual([]));
    const fleet = makeFleet(dataDir);

    await fleet.adopt();

    await vm.started(2);
    expect(await fleet.observe(vmId, instanceId)).toMatchObject({ status: 'running' });
  });

  it('goes on terminating what was being terminated', async () => {
    const { dataDir, vmId, vm, instanceId } = await orphaned();
    vm.ask('terminating');
    const fleet = makeFleet(dataDir);

    await fleet.adopt();

    expect(marked(vmId)).toEqual([]);
    expect(existsSync(vm.folder)).toBe(false);
    expect(await fleet.observe(vmId, instanceId)).toMatchObject({ status: 'terminated' });
  });

  it('tells of a VM that stopped by order while nobody looked', async () => {
    const { dataDir, vmId, vm } = await orphaned();
    vm.ask('ask-stop');
    await eventually(() => expect(marked(vmId)).toEqual([]));
    const exits: string[] = [];

    await makeFleet(dataDir, { onExit: (ended) => exits.push(ended) }).adopt();

    expect(exits).toEqual([vmId]);
  });

  it('removes the folder of a launch that never got to a process', async () => {
    const { dataDir, vmId, vm, pid } = await orphaned();
    sendSignal(pid, 'SIGKILL');
    await eventually(() => expect(marked(vmId)).toEqual([]));
    rmSync(vm.file('vm.json'));

    await makeFleet(dataDir).adopt();

    expect(existsSync(vm.folder)).toBe(false);
  });
});

describe('closing', () => {
  it('ends all VMs, or leaves them running where they are to be kept', async () => {
    const kept = await launched();
    const ended = await launched();

    await Promise.all([kept.fleet.close({ keep: true }), ended.fleet.close({ keep: false })]);

    expect(marked(kept.vmId)).toEqual([kept.pid]);
    expect(marked(ended.vmId)).toEqual([]);
    await expect(kept.fleet.launch(spec(newVmId()))).rejects.toMatchObject({ name: 'CapacityUnavailable' });
  });

  it('starts no runner again that dies after it', async () => {
    const { fleet, vm, vmId, pid } = await launched();
    sendSignal(pid, 'SIGKILL');

    await fleet.close({ keep: true });

    await eventually(() => expect(marked(vmId)).toEqual([]));
    expect(vm.starts()).toEqual([pid]);
  });
});

describe('what a VM that is gone has left untold', () => {
  const outcome = { runId: 'run_1', attempt: 1, state: 'ended', exitCode: 3 } as const;

  /** A VM with a run whose end has not been acknowledged; `say` is what there is to read of it. */
  async function withOutcome(options: Partial<LocalFleetOptions> = {}, say = JSON.stringify([outcome])) {
    const heard: unknown[] = [];
    const made = await launched({
      lastWordsCommand: [process.execPath, '-e', `process.stdout.write(${JSON.stringify(say)})`],
      onOutcomes: async (vmId, left) => void heard.push([vmId, left, existsSync(made.vm.folder)]),
      ...options,
    });
    mkdirSync(made.vm.file('runs/run_1.1'), { recursive: true });
    return { ...made, heard };
  }

  it('is heard before its folder goes, when it is terminated', async () => {
    const { fleet, vmId, instanceId, vm, heard } = await withOutcome();
    await fleet.terminate(vmId, instanceId);
    expect(heard).toEqual([[vmId, [outcome], true]]);
    expect(existsSync(vm.folder)).toBe(false);
    expect(await fleet.observe(vmId, instanceId)).toMatchObject({ status: 'terminated' });
    expect(heard).toHaveLength(1);
  });

  it('is heard before it is called terminated, when its runner has stopped', async () => {
    const { fleet, vmId, instanceId, vm, heard } = await withOutcome();
    vm.ask('ask-stop');
    await eventually(async () => expect(await fleet.observe(vmId, instanceId)).toMatchObject({ status: 'terminated' }));
    expect(heard).toEqual([[vmId, [outcome], true]]);
    expect(existsSync(vm.folder)).toBe(false);
  });

  it('is kept while nobody can hear it, and heard by the next start', async () => {
    const deaf = async () => {
      throw new Error('the table is away');
    };
    const { fleet, vmId, instanceId, vm, dataDir } = await withOutcome({ onOutcomes: deaf });
    await expect(fleet.terminate(vmId, instanceId)).rejects.toThrow('the table is away');
    await expect(fleet.observe(vmId, instanceId)).rejects.toThrow('the table is away');
    await fleet.close({ keep: true });
    expect(existsSync(vm.folder)).toBe(true);

    const heard: unknown[] = [];
    const next = makeFleet(dataDir, {
      lastWordsCommand: [process.execPath, '-e', `process.stdout.write(${JSON.stringify(JSON.stringify([outcome]))})`],
      onOutcomes: async (_vmId, left) => void heard.push(left),
    });
    await next.adopt();
    expect(heard).toEqual([[outcome]]);
    expect(existsSync(vm.folder)).toBe(false);
  });

  it('does not keep the VM, if it cannot be read', async () => {
    const { fleet, vmId, instanceId, vm, heard } = await withOutcome({}, 'no JSON');
    await fleet.terminate(vmId, instanceId);
    expect([heard, existsSync(vm.folder)]).toEqual([[], false]);
  });

  it('is not asked for where every end has been acknowledged', async () => {
    const { fleet, vmId, instanceId, vm, heard } = await withOutcome();
    rmSync(vm.file('runs/run_1.1'), { recursive: true });
    mkdirSync(vm.file('runs/removed-run_1.1-7'));
    await fleet.terminate(vmId, instanceId);
    expect([heard, existsSync(vm.folder)]).toEqual([[], false]);
  });
});
