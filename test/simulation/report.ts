/** What came of many plays, for people: rates, distributions, and which faults have happened where. */
import type { Injection } from './faults.ts';
import { type CalledSite, type JobResult, SEEN_KEPT } from './jobs.ts';

interface KnownSite {
  readonly kinds: readonly string[];
  /** Plays in which it was called, a few of them, with how often, and what else was called there. */
  readonly seen: {
    readonly seed: number;
    readonly calls: number;
    readonly injected: readonly Injection[];
    readonly all: readonly CalledSite[];
  }[];
}

export class Report {
  readonly sites = new Map<string, KnownSite>();
  readonly exercised = new Set<string>();
  readonly violations: JobResult[] = [];
  readonly ends = new Map<string, number>();
  /** Of the worlds that were to have more faults, those in which all of these happened. */
  asAsked = 0;
  readonly #steps: number[] = [];
  readonly #stormSteps: number[] = [];
  readonly #faults: number[] = [];
  readonly #processes: number[] = [];
  readonly #commits: number[] = [];
  readonly #restSeconds: number[] = [];
  readonly #startedAt = performance.now();

  get plays(): number {
    return this.#steps.length;
  }

  get perMinute(): number {
    return (this.plays / (performance.now() - this.#startedAt)) * 60_000;
  }

  took(result: JobResult): void {
    this.#steps.push(result.steps);
    this.#stormSteps.push(result.stormSteps);
    if (result.injected !== undefined && result.happened === result.injected.length) this.asAsked++;
    this.#faults.push(result.faultCount);
    this.#processes.push(result.processes);
    this.#commits.push(result.commits);
    this.#restSeconds.push(Math.round(result.restMs / 1000));
    for (const [end, count] of Object.entries(result.ends)) this.ends.set(end, (this.ends.get(end) ?? 0) + count);
    for (const fault of result.faults) this.exercised.add(fault);
    for (const [name, calls, kinds] of result.sites) {
      let known = this.sites.get(name);
      if (known === undefined) {
        known = { kinds, seen: [] };
        this.sites.set(name, known);
      }
      if (known.seen.length < SEEN_KEPT)
        known.seen.push({ seed: result.seed, calls, injected: result.injected ?? [], all: result.sites });
    }
    if (result.violation !== undefined) this.violations.push(result);
  }

  /** All pairs of a known site and a kind of fault that it can have. */
  pairs(): readonly { readonly site: string; readonly kind: string; readonly known: KnownSite }[] {
    return [...this.sites].flatMap(([site, known]) => known.kinds.map((kind) => ({ site, kind, known })));
  }

  /** Those that have not happened. */
  missing() {
    return this.pairs().filter(({ site, kind }) => !this.exercised.has(`${site} × ${kind}`));
  }

  coverage(): string {
    const pairs = this.pairs();
    const hit = pairs.length - this.missing().length;
    const share = pairs.length === 0 ? 0 : (100 * hit) / pairs.length;
    return `${hit} of ${pairs.length} (call site × fault kind), ${share.toFixed(1)} %, over ${this.sites.size} call sites`;
  }

  progress(): string {
    return `${this.plays} seeds, ${Math.round(this.perMinute)} a minute, ${this.violations.length} violations; ${this.coverage()}`;
  }

  summary(): string {
    const line = (name: string, values: readonly number[]) => {
      const sorted = values.toSorted((left, right) => left - right);
      const at = (share: number) => sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? 0;
      return `  ${name.padEnd(22)} least ${at(0)}, 10 % ${at(0.1)}, median ${at(0.5)}, 90 % ${at(0.9)}, most ${at(1)}`;
    };
    const runs = [...this.ends.values()].reduce((sum, count) => sum + count, 0);
    const ends = [...this.ends].sort(([, left], [, right]) => right - left);
    return [
      this.progress(),
      'a seed has:',
      line('steps (port calls)', this.#steps),
      line('before the calm', this.#stormSteps),
      line('transactions', this.#commits),
      line('faults', this.#faults),
      line('processes', this.#processes),
      line('seconds to rest', this.#restSeconds),
      `${runs} runs ended:`,
      ...ends.map(([end, count]) => `  ${String(count).padStart(8)} ${end}`),
    ].join('\n');
  }
}
