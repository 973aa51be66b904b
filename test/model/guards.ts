/** What can be taken out of the models, which part of core/ it stands for, and the invariant that breaks without it. */

/** A decision on what was read, as it stands in the code, where no guard of a transaction says the same. */
export interface Check {
  readonly file: string;
  readonly text: string;
}

export interface Removal {
  readonly model: 'fire' | 'run';
  /** What `-DWITHOUT_<name>` takes out. */
  readonly name: string;
  /** In words: where it stands, and what comes in between. */
  readonly when: string;
  /** The number of the invariant: the only one that is looked at in this search. */
  readonly breaks: number;
  /** Names of guards in core/: the first, with those that would cover it. */
  readonly guards?: readonly [string, ...string[]];
  readonly checks?: readonly Check[];
}

const finish = 'core/runs/finish.ts';

export const REMOVALS: readonly Removal[] = [
  {
    model: 'fire',
    name: 'fire_occurrenceOnce',
    when: 'the second delivery comes between the read and the commit of the first',
    breaks: 1,
    guards: ['fire.occurrenceOnce', 'fire.liveSetUnchanged', 'run.createdOnce', 'event.appendedOnce'],
  },
  {
    model: 'fire',
    name: 'fire_scheduleUnchanged',
    when: 'a pause is acknowledged between a fire’s read and its commit',
    breaks: 4,
    guards: ['fire.scheduleUnchanged'],
  },
  {
    model: 'fire',
    name: 'fire_liveSetUnchanged',
    when: 'a trigger comes between a fire’s read and its commit, under the policy skip',
    breaks: 10,
    guards: ['fire.liveSetUnchanged'],
  },
  {
    model: 'fire',
    name: 'trigger_scheduleUnchanged',
    when: 'a delete is acknowledged between a trigger’s read and its commit',
    breaks: 4,
    guards: ['trigger.scheduleUnchanged'],
  },
  {
    model: 'fire',
    name: 'trigger_liveSetUnchanged',
    when: 'a fire comes between a trigger’s read and its commit',
    breaks: 10,
    guards: ['trigger.liveSetUnchanged'],
  },
  {
    model: 'fire',
    name: 'finish_scheduleUnchanged',
    when: 'a delete is committed between the last finish’s read and its commit',
    breaks: 14,
    guards: ['finish.scheduleUnchanged'],
  },
  {
    model: 'fire',
    name: 'finish_liveSetUnchanged',
    when: 'another run begins or ends between a finish’s read and its commit',
    breaks: 10,
    guards: ['finish.liveSetUnchanged'],
  },
  {
    model: 'fire',
    name: 'advance_scheduleUnchanged',
    when: 'a pause is acknowledged between the advance’s look at a buffer and its turn',
    breaks: 4,
    guards: ['advance.scheduleUnchanged', 'buffer.stillWaiting'],
  },
  {
    model: 'fire',
    name: 'advance_liveSetUnchanged',
    when: 'a trigger comes between the advance’s look at a buffer and its turn',
    breaks: 10,
    guards: ['advance.liveSetUnchanged'],
  },
  {
    model: 'fire',
    name: 'schedule_liveSetUnchanged',
    when: 'a fire buffers between a pause’s read and its commit',
    breaks: 5,
    guards: ['schedule.liveSetUnchanged'],
  },
  {
    model: 'fire',
    name: 'watchdog_placing',
    when: 'a fire dies between its commit and its placement',
    breaks: 14,
    checks: [{ file: 'core/watchdog/rules/queued.ts', text: "rule: 'queued_unplaced'" }],
  },
  {
    model: 'fire',
    name: 'watchdog_settling',
    when: 'no delivery arrives',
    breaks: 5,
    checks: [{ file: 'core/watchdog/rules/schedule.ts', text: "rule: 'occurrence_overdue'" }],
  },
  {
    model: 'fire',
    name: 'watchdog_calling',
    when: 'a finish dies before it calls what waits for it',
    breaks: 14,
    checks: [{ file: 'core/watchdog/rules/schedule.ts', text: "rule: 'waiting_uncalled'" }],
  },
  {
    model: 'run',
    name: 'launch_oneVmPerAttempt',
    when: 'an older LaunchVm, still at work, opens its intent between another one’s look and its commit',
    breaks: 2,
    guards: ['launch.oneVmPerAttempt', 'run.unchanged', 'event.appendedOnce'],
  },
  {
    model: 'run',
    name: 'launch_sameToken',
    when: 'a launch whose answer was lost is asked for again, or by two at once',
    breaks: 2,
    checks: [
      {
        file: 'core/vms/launch.ts',
        text: '? { ...vm.intent, openedAt: now, unanswered: true }',
      },
    ],
  },
  {
    model: 'run',
    name: 'launch_runUnchanged',
    when: 'a cancel ends the run between LaunchVm’s look and its intent',
    breaks: 3,
    guards: ['run.unchanged', 'run.sameAttempt', 'event.appendedOnce'],
  },
  {
    model: 'run',
    name: 'claim_runUnchanged',
    when: 'a cancel ends the run between the dispatch’s read and its marker',
    breaks: 3,
    guards: ['run.unchanged', 'run.sameAttempt', 'dispatch.noMarker', 'event.appendedOnce'],
  },
  {
    model: 'run',
    name: 'claim_vmUnchanged',
    when: 'the VM is let go between the dispatch’s read and its marker',
    breaks: 9,
    guards: ['vm.unchanged'],
  },
  {
    model: 'run',
    name: 'finish_runUnchanged',
    when: 'another end is committed between a finish’s read and its commit',
    breaks: 3,
    guards: ['run.unchanged', 'run.sameAttempt', 'event.appendedOnce'],
  },
  {
    model: 'run',
    name: 'finish_onlyUndispatched',
    when: 'the registration has dispatched the run by the time at which a Catch path ends it',
    breaks: 9,
    checks: [
      {
        file: finish,
        text: 'if (options.onlyUndispatched === true && run.vmId !== undefined) return { done: undefined };',
      },
    ],
  },
  {
    model: 'run',
    name: 'finish_sameAttempt',
    when: 'the report of an attempt is handled after the run has gone on to the next one',
    breaks: 7,
    checks: [{ file: finish, text: 'if (run.attempt !== options.attempt) {' }],
  },
  {
    model: 'run',
    name: 'nextAttempt_runUnchanged',
    when: 'a cancel ends the run between the read and the commit of its next attempt',
    breaks: 3,
    guards: ['run.unchanged', 'run.sameAttempt', 'event.appendedOnce'],
  },
  {
    model: 'run',
    name: 'cancel_runUnchanged',
    when: 'the run ends between a cancel’s read and its request to the runner',
    breaks: 3,
    guards: ['run.unchanged', 'vm.unchanged', 'event.appendedOnce'],
  },
  {
    model: 'run',
    name: 'drain_vmUnchanged',
    when: 'the run is dispatched to a VM between the look at it and the word that it goes',
    breaks: 9,
    guards: ['vm.unchanged'],
  },
  {
    model: 'run',
    name: 'release_notInUse',
    when: 'a VM that has the run is let go by the Catch path that had not heard of it',
    breaks: 9,
    checks: [
      { file: 'core/vms/provision.ts', text: "if (run.vmId === vmId) return { released: 'dispatched' };" },
      { file: 'core/vms/drain.ts', text: "if (vm.slots.length > 0) return { done: 'in_use' };" },
    ],
  },
  {
    model: 'run',
    name: 'silent_noHeartbeatSince',
    when: 'a heartbeat comes between the watchdog’s look and its word that the VM is silent',
    breaks: 9,
    guards: ['silent.noHeartbeatSince'],
  },
  {
    model: 'run',
    name: 'condemn_vmUnchanged',
    when: 'a heartbeat comes between the watchdog’s look at a silent VM and its word that it is given up',
    breaks: 9,
    guards: ['vm.unchanged'],
  },
  {
    model: 'run',
    name: 'observe_terminated',
    when: 'the request for a VM’s end is taken for its end',
    breaks: 2,
    checks: [{ file: 'core/vms/release.ts', text: "if (observation.status !== 'terminated') return observation;" }],
  },
  {
    model: 'run',
    name: 'observe_settled',
    when: 'a VM is called gone while its launch may still bring an instance',
    breaks: 6,
    checks: [
      {
        file: 'core/vms/release.ts',
        text: 'if (mayAppear && lookedAt - vm.intent.openedAt < LAUNCH_SETTLE_MS) return { done: undefined };',
      },
    ],
  },
];
