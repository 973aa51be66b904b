/** Rounds on one data folder after the other, and what came of them. */
import fs from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { CrashMachine } from './machine.ts';
import { Points } from './points.ts';
import { Random } from './random.ts';
import { closeSite, newSite, planRound, playRound, type RoundPlan, type RoundResult, type Site } from './round.ts';

export interface CampaignOptions {
  readonly seed: number;
  readonly rounds: number;
  /** Rounds without a death, which find out where one can die. */
  readonly recordingRounds: number;
  readonly roundsPerFolder: number;
  readonly ordersPerRound: number;
  readonly runsPerRound: number;
  /** Kill only at failpoints whose names contain this. */
  readonly at?: string | undefined;
  /** No round begins later than this after the first. */
  readonly limitMs?: number;
  readonly say: (line: string) => void;
}

export interface Finding {
  readonly round: number;
  readonly text: string;
  readonly plan: RoundPlan;
  /** Where the data folder and the logs have been kept. */
  readonly folder: string;
}

const FINDINGS_MAX = 20;

export class Campaign {
  readonly points = new Points();
  readonly findings: Finding[] = [];
  /** How many runs ended how. */
  readonly statuses = new Map<string, number>();
  /** How often who was killed together with whom. */
  readonly victims = new Map<string, number>();
  readonly #options: CampaignOptions;
  #killsAtPoints = 0;
  #randomKills = 0;
  #starts = 0;
  #roundsPlayed = 0;
  #site: Site | undefined;

  constructor(options: CampaignOptions) {
    this.#options = options;
  }

  get seed(): number {
    return this.#options.seed;
  }

  get totals() {
    return {
      rounds: this.#roundsPlayed,
      killsAtPoints: this.#killsAtPoints,
      randomKills: this.#randomKills,
      starts: this.#starts,
    };
  }

  async play(): Promise<void> {
    const { recordingRounds, rounds, roundsPerFolder, limitMs = Number.POSITIVE_INFINITY } = this.#options;
    const startedAt = performance.now();
    const last = recordingRounds + rounds;
    for (let round = 1; round <= last; round++) {
      if (this.findings.length >= FINDINGS_MAX || performance.now() - startedAt > limitMs) break;
      await this.#round(round, last);
      const fills = (this.#site?.rounds ?? 0) >= roundsPerFolder;
      if (fills) await this.#leaveFolder();
    }
    await this.#leaveFolder();
  }

  /** Ends everything at once; what `play` says after that means nothing. */
  async abort(): Promise<void> {
    const machine = this.#site?.machine;
    await machine?.destroy();
    if (machine !== undefined)
      fs.rmSync(machine.folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 });
  }

  async #round(round: number, last: number): Promise<void> {
    const { seed, recordingRounds, ordersPerRound, runsPerRound, at, say } = this.#options;
    const startedAt = performance.now();
    const random = new Random(seed * 1_000_003 + round);
    const recording = round <= recordingRounds;
    const plan = planRound(`r${round}`, random, this.points, {
      orders: recording ? 0 : ordersPerRound,
      runs: runsPerRound,
      chaos: !recording,
      firstRound: this.#site === undefined,
      at,
    });
    this.#site ??= newSite(
      new CrashMachine(fs.realpathSync(fs.mkdtempSync(path.join(tmpdir(), 'candor-crash-'))), random),
    );
    const site = this.#site;
    const killsBefore = site.machine.kills().length;
    const result = await playRound(site, round, plan);
    const carriedOut = site.machine.kills().slice(killsBefore);
    const atPoints = carriedOut.filter(({ order }) => order !== undefined);
    this.points.readHits(site.machine.hitsFolder);
    this.points.noteRound();
    const done = new Set(atPoints.map(({ order }) => order?.id));
    for (const order of plan.orders) {
      if (done.has(order.id)) this.points.noteKill(order);
      else this.points.noteMissed(order);
    }
    if (!recording) this.#roundsPlayed++;
    this.#killsAtPoints += atPoints.length;
    this.#randomKills += carriedOut.length - atPoints.length;
    for (const kill of carriedOut)
      count(
        this.victims,
        kill.victims
          .map(({ role }) => role)
          .sort()
          .join(' + '),
      );
    this.#note(round, plan, result);
    const seconds = ((performance.now() - startedAt) / 1000).toFixed(1);
    const kills = `${atPoints.length} of ${plan.orders.length} ordered and ${carriedOut.length - atPoints.length} random kills`;
    const outcome = result.findings.length === 0 ? 'ok' : `FINDING ${result.findings.join('\n  ')}`;
    say(
      `round ${round}/${last}${recording ? ' (recording)' : ''}: ${result.runs.length} runs, ${kills}, ${seconds} s: ${outcome}`,
    );
    if (result.stuck) await this.#abandonFolder();
  }

  #note(round: number, plan: RoundPlan, { findings, runs }: RoundResult): void {
    const folder = this.#site?.machine.folder ?? '';
    for (const text of findings) this.findings.push({ round, text, plan, folder });
    for (const run of runs) {
      count(this.statuses, run.reason === undefined ? run.status : `${run.status} (${run.reason})`);
    }
  }

  /** With the questions that can be asked once no work is left. */
  async #leaveFolder(): Promise<void> {
    if (this.#site === undefined) return;
    const { lastRound, lastPlan } = this.#site;
    const findings = await closeSite(this.#site);
    if (lastPlan !== undefined) this.#note(lastRound, lastPlan, { findings, runs: [], stuck: false });
    for (const text of findings) this.#options.say(`FINDING after round ${lastRound}: ${text}`);
    await this.#abandonFolder();
  }

  async #abandonFolder(): Promise<void> {
    const machine = this.#site?.machine;
    if (machine === undefined) return;
    await machine.destroy();
    this.#starts += machine.starts;
    this.#site = undefined;
    // What something was found in is kept.
    if (this.findings.some(({ folder }) => folder === machine.folder)) return;
    fs.rmSync(machine.folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 });
  }
}

const count = (counts: Map<string, number>, name: string) => void counts.set(name, (counts.get(name) ?? 0) + 1);
