/** The table's stream: each inserted event, in order per shard, at least once; a batch that fails comes again. */
import { type Delivered, deliver } from '../../core/notifications/deliver.ts';
import { EVENT_PREFIX, NOTE_PREFIX, shardOf } from '../../core/table/keys.ts';
import type { Item } from '../../core/table/model.ts';
import type { Simulation } from './world.ts';

export interface StreamWeather {
  readonly double: number;
  /** Before a batch is taken up. */
  readonly delayMsMax: number;
  /** Tries of a batch before it is left to the dead-letter queue. */
  readonly triesMax: number;
}

const CALM: StreamWeather = { double: 0, delayMsMax: 1000, triesMax: 1000 };
const SHARDS = 2;
const BATCH = 10;

interface Shard {
  waiting: Delivered[];
  busy: boolean;
}

export class StreamService {
  readonly #world: Simulation;
  readonly weather: StreamWeather;
  readonly #shards: readonly Shard[] = Array.from({ length: SHARDS }, () => ({ waiting: [], busy: false }));
  #count = 0;

  constructor(world: Simulation, weather: StreamWeather) {
    this.#world = world;
    this.weather = weather;
  }

  get isEmpty(): boolean {
    return this.#shards.every(({ waiting, busy }) => waiting.length === 0 && !busy);
  }

  appended(item: Item): void {
    if (!item.sk.startsWith(EVENT_PREFIX) && !item.sk.startsWith(NOTE_PREFIX)) return;
    const shard = this.#shards[shardOf(item.pk, SHARDS)] as Shard;
    shard.waiting.push({ number: String(++this.#count), item });
    if (!shard.busy) void this.#work(shard);
  }

  async #work(shard: Shard): Promise<void> {
    shard.busy = true;
    const { time, random } = this.#world;
    while (shard.waiting.length > 0) {
      const { delayMsMax, triesMax, double } = this.#world.isCalm ? CALM : this.weather;
      await time.sleep(random.spread(50, delayMsMax));
      const batch = shard.waiting.slice(0, BATCH);
      await this.#deliver(batch, triesMax);
      if (random.chance(double)) void this.#deliver(batch, 1);
      shard.waiting = shard.waiting.slice(batch.length);
    }
    shard.busy = false;
  }

  async #deliver(batch: readonly Delivered[], triesMax: number): Promise<void> {
    const { time, random } = this.#world;
    let left = batch;
    for (let tries = 0; tries < triesMax; tries++) {
      const outcome = await this.#world.invoke('events', (ports) => deliver(ports, left));
      if (outcome.kind === 'answered') {
        const failed = outcome.value;
        const done = failed === undefined ? left.length : left.findIndex(({ number }) => number === failed);
        this.#world.checker.webhooks.handled(left.slice(0, done).map(({ item }) => item));
        left = left.slice(done);
        if (left.length === 0) return;
      }
      await time.sleep(random.spread(100, 10_000));
      if (this.#world.isCalm && triesMax < CALM.triesMax) return this.#deliver(left, CALM.triesMax);
    }
    this.#world.note(`the stream drops ${left.length} events`);
  }
}
