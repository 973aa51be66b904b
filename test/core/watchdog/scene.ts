/** What each rule's cases stand on: a world, time that passes with ticks, and what the watchdog said and did in it. */
import { expect } from 'vitest';
import type { Log, Ports } from '../../../core/ports.ts';
import { finishRun } from '../../../core/runs/finish.ts';
import type { Write } from '../../../core/table/model.ts';
import type { Recovery } from '../../../core/watchdog/recoveries.ts';
import { type TickReport, tick } from '../../../core/watchdog/tick.ts';
import type { World } from '../../support/world.ts';
import { MINUTE, SECOND, storeWith } from '../support.ts';

export interface RuleCase {
  /** How the stuck state is reached, in words. */
  readonly stuck: string;
  /** Reaches it through what everybody uses and lets time pass; checks that it was put right, and how soon. */
  readonly found: (scene: Scene) => Promise<Found>;
  /** What is almost that. */
  readonly almost: string;
  readonly leftAlone: (scene: Scene) => Promise<void>;
  /** What else the watchdog may rightly do meanwhile to what is almost stuck. */
  readonly besides?: readonly Recovery[];
}

export interface Found {
  /** Of the item beside which the recovery is told. */
  readonly pk: string;
  readonly because: RegExp;
  readonly did: RegExp;
  /** Where not the tick but a heartbeat has put it right: the event of the change that it made. */
  readonly event?: string;
}

export interface Line {
  readonly level: keyof Log;
  readonly message: string;
  readonly detail: Readonly<Record<string, unknown>>;
}

export class Scene {
  readonly world: World;
  readonly ports: Ports;
  readonly rules: Recovery[] = [];
  readonly lines: Line[] = [];

  constructor(world: World) {
    this.world = world;
    const line = (level: keyof Log) => (message: string, detail?: object) => {
      this.lines.push({ level, message, detail: { ...detail } });
    };
    this.ports = { ...world.ports, log: { info: line('info'), warn: line('warn'), error: line('error') } };
    Object.assign(world, { ports: this.ports });
  }

  async look(ports: Ports = this.ports): Promise<TickReport> {
    const report = await tick(ports, { owner: 'test', budgetMs: 60_000 });
    this.rules.push(...report.actions.map(({ rule }) => rule));
    return report;
  }

  /** Time passes with a tick every ten seconds, or thirty where it is long, so that the watchdog has no gap of its own. Answers what it did. */
  async pass(milliseconds: number, each: () => Promise<unknown> = async () => {}): Promise<readonly Recovery[]> {
    const before = this.rules.length;
    const until = this.world.now + milliseconds;
    const step = milliseconds >= 5 * MINUTE ? 30 * SECOND : 10 * SECOND;
    while (this.world.now < until) {
      this.world.now = Math.min(this.world.now + step, until);
      await each();
      await this.look();
    }
    return this.rules.slice(before);
  }
}

export const keyOf = (write: Write) => (write.kind === 'put' ? write.item : write.key);

/** A table that acknowledges and loses part of what is written, as a restore from a backup, or an older program, may leave it. */
export const losing = (world: World, lost: (write: Write) => boolean): Ports => ({
  ...world.ports,
  store: storeWith(world.ports.store, {
    transact: async (writes) => {
      const kept = writes.filter((write) => !lost(write));
      if (kept.length > 0) await world.ports.store.transact(kept);
    },
  }),
});

/** The process dies in the middle: whatever it asks the workflow to start is never asked for. */
export const dyingBeforePlacement = ({ ports }: World): Ports => ({
  ...ports,
  workflow: { ...ports.workflow, start: () => Promise.reject(new Error('killed')) },
});

export const endWith = (ports: Ports, runId: string) =>
  finishRun(
    ports,
    runId,
    {
      status: 'succeeded',
      evidence: { source: 'test', observedAt: new Date(ports.time.now()).toISOString(), detail: 'ended' },
    },
    { attempt: 1 },
  );

const countOf = (world: World, rule: Recovery): number =>
  world.measured
    .filter(({ name, dimensions }) => name === 'Recoveries' && JSON.stringify(dimensions) === JSON.stringify({ rule }))
    .reduce((sum, { value }) => sum + value, 0);

/** A recovery says what was seen and what was done, beside the events of its subject, in the log and as a measurement. */
export async function expectTold({ world, rules, lines }: Scene, rule: Recovery, found: Found): Promise<void> {
  if (found.event !== undefined) {
    const events = await world.ports.store.query({ pk: found.pk, prefix: 'EVT#', limit: 200 });
    const event = events.items.findLast(({ type }) => type === found.event);
    expect(JSON.stringify(event?.detail)).toMatch(found.because);
    expect(countOf(world, rule)).toBe(1);
    return;
  }
  expect(rules).toContain(rule);
  const notes = await world.ports.store.query({ pk: found.pk, prefix: 'NOTE#watchdog#', limit: 200 });
  const note = notes.items.find(({ type }) => type === `watchdog.${rule}`);
  expect(note?.detail).toMatchObject({
    because: expect.stringMatching(found.because) as string,
    did: expect.stringMatching(found.did) as string,
  });
  const told = lines.filter(({ message, detail }) => message === 'watchdog.recovered' && detail.rule === rule);
  const times = rules.filter((each) => each === rule).length;
  expect(told).toHaveLength(times);
  expect(told[0]?.detail).toMatchObject({ because: note?.detail && expect.stringMatching(found.because) });
  expect(countOf(world, rule)).toBe(times);
}

/** Nothing was done that was not called for, and nothing was counted. */
export function expectLeftAlone({ world, rules }: Scene, rule: Recovery, besides: readonly Recovery[] = []): void {
  expect(rules.filter((each) => !besides.includes(each))).toEqual([]);
  expect(countOf(world, rule)).toBe(0);
}
