/** EventBridge Scheduler: delivers each nominal time at least once, late, double, now and then never (the DLQ has it). */
import { nextOccurrence } from '../../core/cadence/occurrences.ts';
import type { ClockLook, ClockSpec } from '../../core/ports.ts';
import { type FireResult, fire } from '../../core/schedules/fire.ts';
import type { Cadence } from '../../core/schedules/model.ts';
import type { Page } from '../../core/table/model.ts';
import type { Timer } from './heap.ts';
import type { Simulation } from './world.ts';

export interface ClockWeather {
  /** Delivered within the minute, otherwise up to a day late. */
  readonly late: number;
  readonly double: number;
  /** Never delivered: in the dead-letter queue. */
  readonly dropped: number;
  /** Beside what is due comes a time that nobody expects: as from a clock that follows an older spec. */
  readonly stray: number;
}

interface Standing {
  readonly spec: ClockSpec;
  timer: Timer | undefined;
}

const CALM: ClockWeather = { late: 0, double: 0, dropped: 0, stray: 0 };
const START_DATE_AGE_MS = 300_000;

export class ClockService {
  readonly #world: Simulation;
  readonly weather: ClockWeather;
  readonly #standing = new Map<string, Standing>();

  constructor(world: Simulation, weather: ClockWeather) {
    this.#world = world;
    this.weather = weather;
  }

  specs = (): readonly ClockSpec[] => [...this.#standing.values()].map(({ spec }) => spec);

  put(spec: ClockSpec): void {
    this.delete(spec.scheduleId);
    const standing: Standing = { spec, timer: undefined };
    this.#standing.set(spec.scheduleId, standing);
    // AWS takes no StartDate that is older; the adapter moves it on (adapters/aws/clock.ts).
    this.#arm(standing, Math.max(spec.startAt, this.#world.time.now - START_DATE_AGE_MS) - 1);
  }

  delete(scheduleId: string): void {
    this.#standing.get(scheduleId)?.timer?.cancel();
    this.#standing.delete(scheduleId);
  }

  look(wanted: ClockSpec): ClockLook {
    const spec = this.#standing.get(wanted.scheduleId)?.spec;
    if (spec === undefined) return { kind: 'absent', detail: 'there is no such clock' };
    const same =
      spec.specVersion === wanted.specVersion &&
      JSON.stringify(spec.cadence) === JSON.stringify(wanted.cadence) &&
      spec.endAt === wanted.endAt &&
      spec.startAt <= wanted.startAt;
    return { kind: same ? 'follows' : 'differs', detail: `it is at version ${spec.specVersion}` };
  }

  list(): Page<string> {
    return { items: [...this.#standing.keys()] };
  }

  #arm(standing: Standing, after: number): void {
    const { spec } = standing;
    const next = nextOccurrence(cadenceOf(spec), after);
    if (next === undefined || (spec.endAt !== undefined && next >= spec.endAt)) return;
    standing.timer = this.#world.time.at(next, () => {
      this.#due(spec, next);
      this.#arm(standing, next);
    });
  }

  #due(spec: ClockSpec, nominal: number): void {
    const { random, time } = this.#world;
    const { late, double, dropped, stray } = this.#world.isCalm ? CALM : this.weather;
    if (stray > 0 && random.chance(stray))
      time.after(random.below(60_000), () => void this.#deliver(spec, Math.floor(time.now / 1000) * 1000, 0));
    if (random.chance(dropped)) {
      this.#world.note(`the clock drops ${spec.scheduleId} ${nominal}`);
      return;
    }
    const delayMs = () => (random.chance(late) ? random.spread(60_000, 86_400_000) : random.below(60_000));
    time.after(delayMs(), () => void this.#deliver(spec, nominal, 0));
    if (random.chance(double)) time.after(delayMs(), () => void this.#deliver(spec, nominal, 0));
  }

  async #deliver(spec: ClockSpec, nominal: number, tries: number): Promise<void> {
    const { scheduleId, specVersion, agentId, principalId } = spec;
    const sentAt = this.#world.time.now;
    const outcome = await this.#world.invoke('fire', (ports) =>
      fire(ports, { scheduleId, scheduledTime: nominal, specVersion, agentId, principalId }),
    );
    if (outcome.kind === 'answered') this.#answered(outcome.value, scheduleId, nominal, sentAt);
    if (outcome.kind === 'answered' || tries >= 20) return;
    const { random, time } = this.#world;
    time.after(random.spread(1000, 120_000), () => void this.#deliver(spec, nominal, tries + 1));
  }

  /** Scheduler sends nothing again that was answered: what comes at its time is not to be called early, by no clock allowed. */
  #answered(result: FireResult, scheduleId: string, nominal: number, sentAt: number): void {
    if (result.outcome === 'ignored' && result.reason === 'early' && nominal <= sentAt)
      this.#world.broken('§5.1', `fire: ${new Date(nominal).toISOString()} of ${scheduleId} is due, and called early`);
  }
}

function cadenceOf({ cadence, startAt }: ClockSpec): Cadence {
  if ('cron' in cadence) return { kind: 'cron', ...cadence };
  if ('everySeconds' in cadence) return { kind: 'every', everySeconds: cadence.everySeconds, startAt };
  return { kind: 'at', at: cadence.at };
}
