/**
 * Webhooks: the function that sends them, as `lambdas/deliver.ts` calls the core, and the endpoints that take what is sent, or
 * do not. What an endpoint has really taken is the truth that {@link WebhookRules} holds Candor to.
 */
import type { WebhookAnswer, WebhookRequest } from '../../core/ports.ts';
import { DELIVERY_PREFIX } from '../../core/table/keys.ts';
import type { Item } from '../../core/table/model.ts';
import { idOf, sendAll, sendDue } from '../../core/webhooks/due.ts';
import { WRITE_FAULTS } from './faults.ts';
import type { Failures, Incarnation } from './incarnations.ts';
import type { Simulation } from './world.ts';

/** What endpoints do in one world. */
export interface EndpointWeather {
  /** Of the requests that it hears: so many are answered with an error of its own. */
  readonly refuses: number;
  /** So many with 410: it wants no more. */
  readonly gone: number;
  /** So many are answered too late, taken or not. */
  readonly slow: number;
  /** That an endpoint that takes something is down from then on, for minutes. */
  readonly outages: number;
}

export const CALM_ENDPOINTS: EndpointWeather = { refuses: 0, gone: 0, slow: 0, outages: 0 };

const BATCH = 16;
const BUDGET_MS = 38_000;
/** Of deliveries that are inserted, so many the stream does not bring: their batch was too old. */
const NOT_BROUGHT = 0.05;

export const refusalOf = (url: string): string | undefined =>
  url.startsWith('https://') ? undefined : 'it must begin with https://';

export class Webhooks {
  readonly #world: Simulation;
  readonly #weather: EndpointWeather;
  /** By URL: until when it answers nobody, and until when it takes whatever comes. */
  readonly #downUntil = new Map<string, number>();
  readonly #fineUntil = new Map<string, number>();
  #waiting: string[] = [];

  constructor(world: Simulation, weather: EndpointWeather) {
    this.#world = world;
    this.#weather = weather;
  }

  /** The stream's second reader: what it does not bring is due in the index. */
  appended({ pk }: Item): void {
    if (!pk.startsWith(DELIVERY_PREFIX)) return;
    const { time, random } = this.#world;
    this.#waiting.push(idOf(pk));
    if (this.#waiting.length > 1) return;
    time.after(random.spread(50, this.#world.isCalm ? 1000 : this.#world.weather.stream.delayMsMax), () => {
      const ids = this.#waiting;
      this.#waiting = [];
      for (let from = 0; from < ids.length; from += BATCH) this.#brought(ids.slice(from, from + BATCH));
    });
  }

  #brought(ids: readonly string[]): void {
    const { random, weather, isCalm } = this.#world;
    if (!isCalm && random.chance(NOT_BROUGHT)) return;
    this.send(ids);
    if (!isCalm && random.chance(weather.stream.double)) this.send(ids);
  }

  send(ids: readonly string[]): void {
    void this.#world.invoke('deliver', (ports) => sendAll(ports, ids, ports.time.now() + BUDGET_MS));
  }

  tick(): void {
    void this.#world.invoke('deliver', (ports) => sendDue(ports, { budgetMs: BUDGET_MS }));
  }

  /** Whatever comes in the next minute is taken. */
  recover(url: string): void {
    this.#fineUntil.set(url, this.#world.time.now + 60_000);
  }

  breakDown(url: string): void {
    this.#downUntil.set(url, this.#world.time.now + this.#world.random.spread(10_000, 1_200_000));
  }

  /** One request, over a network that may lose it or its answer. */
  async request(inc: Incarnation, request: WebhookRequest): Promise<WebhookAnswer> {
    const { world } = inc;
    const begunAt = world.time.now;
    world.checker.webhooks.tried(inc, request.url);
    const lost: Failures = {
      unavailable: (why) => new Error(why),
      throttled: () => new Error('connection refused'),
    };
    const site = world.site(inc, 'webhooks.send', WRITE_FAULTS);
    let heard: { readonly status: number; readonly afterMs: number };
    try {
      heard = await inc.call(site, lost, () => world.trace.answered(request, this.#heard(inc, request)));
    } catch (error) {
      return { kind: 'failed', detail: String(error), tookMs: world.time.now - begunAt };
    }
    await inc.sleep(Math.min(heard.afterMs, request.timeoutMs));
    const tookMs = world.time.now - begunAt;
    return heard.afterMs >= request.timeoutMs
      ? { kind: 'timed_out', detail: `no answer in ${request.timeoutMs} ms`, tookMs }
      : { kind: 'answered', status: heard.status, tookMs };
  }

  #heard(inc: Incarnation, request: WebhookRequest) {
    const answer = this.#answer(request.url);
    const taken = answer.status < 300;
    this.#world.checker.webhooks.heard(inc, request, taken);
    return answer;
  }

  #answer(url: string): { readonly status: number; readonly afterMs: number } {
    const { random, time, isCalm } = this.#world;
    const afterMs = random.spread(5, 2000);
    if (isCalm || (this.#fineUntil.get(url) ?? 0) > time.now) return { status: 200, afterMs };
    const { refuses, gone, slow, outages } = this.#weather;
    if ((this.#downUntil.get(url) ?? 0) > time.now) return { status: 503, afterMs };
    if (random.chance(outages)) this.breakDown(url);
    if (random.chance(gone)) return { status: 410, afterMs };
    if (random.chance(slow)) return { status: random.pick([200, 500]), afterMs: random.spread(5000, 60_000) };
    if (random.chance(refuses)) return { status: random.pick([500, 503, 404, 302, 429]), afterMs };
    return { status: random.pick([200, 202, 204]), afterMs };
  }
}
