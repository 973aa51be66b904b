/** The guards of what plays in the simulation, found in its source; which others have to be taken out with one to see what it is for; and which no world can miss. */
import { FENCES, sourceOf } from './fences.ts';
import { adaptersThatRun, filesOfCore } from './markers.ts';

/** Every name under which the core guards a write. */
export const guardsOfCore = (): readonly string[] => guardsIn(filesOfCore());

/** Those of the adapters besides that play in the simulation. */
export const guardsThatRun = (): readonly string[] => guardsIn([...filesOfCore(), ...adaptersThatRun()]);

function guardsIn(files: readonly string[]): readonly string[] {
  const names = new Set<string>();
  for (const file of files)
    for (const [, name] of sourceOf(file).matchAll(/guard\(\s*'([\w.]+)'/g)) if (name !== undefined) names.add(name);
  return [...names].sort();
}

const EVENTS = ['run.unchanged', 'event.appendedOnce'];
const SCHEDULE = ['schedule.unchanged', 'event.appendedOnce', 'schedule.revisionOnce'];
const AGENT = ['agent.unchanged', 'agent.versionOnce', 'event.appendedOnce'];
const ONCE = ['fire.occurrenceOnce', 'fire.liveSetUnchanged', 'run.createdOnce', 'event.appendedOnce'];

/** A second lock on the same door, by the guards that are the first one: without those too, it is seen what it is for. */
export const COVERING: Readonly<Record<string, readonly string[]>> = {
  'agent.createdOnce': ['agent.versionOnce', 'event.appendedOnce'],
  'agent.nameOurs': AGENT,
  'agent.unchanged': AGENT,
  'agent.versionOnce': AGENT,
  'backfill.occurrenceOnce': ['advance.liveSetUnchanged', 'run.createdOnce', 'event.appendedOnce'],
  'backfill.stillRunning': ['advance.liveSetUnchanged'],
  'buffer.stillWaiting': ['advance.scheduleUnchanged'],
  'check.stillDue': ['check.rowUnchanged'],
  'children.completeOnce': ['children.sealedOnce'],
  'correction.once': EVENTS,
  'event.appendedOnce': EVENTS,
  'fire.occurrenceOnce': ONCE,
  'launch.oneVmPerAttempt': EVENTS,
  'principal.asSeen': ['event.appendedOnce'],
  'principal.unchanged': ['event.appendedOnce'],
  'run.createdOnce': ONCE,
  'run.unchanged': EVENTS,
  'schedule.createdOnce': ['schedule.revisionOnce', 'event.appendedOnce'],
  'schedule.nameOurs': SCHEDULE,
  'schedule.revisionOnce': SCHEDULE,
  'schedule.unchanged': SCHEDULE,
  'webhook.createdOnce': ['webhook.listedOnce', 'event.appendedOnce'],
  'webhook.listedOnce': ['webhook.createdOnce', 'event.appendedOnce'],
  'webhook.unchanged': ['event.appendedOnce'],
  'withheld.rangeOnce': SCHEDULE,
};

/**
 * The same, of guards without which nothing holds for long: those are taken out only of the transactions that carry both.
 * Everybody else's writes stay guarded.
 */
export const COVERING_BESIDE: Readonly<Record<string, readonly string[]>> = {
  'children.lastOne': [...EVENTS, 'vm.unchanged', 'children.completeOnce'],
  'dispatch.noMarker': [...EVENTS, 'vm.unchanged'],
  'run.sameAttempt': EVENTS,
  'schedule.agentCounts': [...SCHEDULE, 'schedule.nameOurs'],
};

/** `guard@other`: the guard, in transactions that carry the other one, too. */
export const BESIDE = '@';

/** What is taken out together, to see what a guard or fence is for: first it alone, then with the guards that cover it. */
export function removalsOf(name: string): readonly (readonly string[])[] {
  const covering =
    COVERING[name] ?? COVERING_BESIDE[name]?.map((each) => `${each}${BESIDE}${name}`) ?? FENCES[name]?.covering;
  return covering === undefined ? [[name]] : [[name], [...new Set([name, ...covering])]];
}
