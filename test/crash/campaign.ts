/** Rounds on one data folder after the other, and what came of them. */
import fs from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { CrashMachine } from './machine.ts';
import { Points } from './points.ts';
import { Random } from './random.ts';
import { closeSite, openSite, planRound, playRound, type RoundPlan, type Site, type Sizes } from './round.ts';

export interface CampaignOptions {
  readonly seed: number;
  readonly rounds: number;
  /** Rounds without a death, which find out where one can die. */
  readonly recordingRounds: number;
  readonly roundsPerFolder: number;
  readonly sizes: Omit<Sizes, 'chaos'>;
  readonly say: (line: string) => void;
  /** Give up after so many findings. */
  readonly maxFindings: number;
}

export interface Finding {
  readonly round: number;
  readonly text: string;
  readonly plan?: RoundPlan;
  /** Where the data folder and the logs have been kept. */
  readonly folder: string;
}

export interface Campaign {
  readonly seed: number;
  readonly rounds: number;
  readonly points: Points;
  readonly findings: readonly Finding[];
  readonly statuses: ReadonlyMap<string, number>;
  /** Deaths at failpoints, at random moments, and how often `candor dev` was started. */
  readonly killsAtPoints: number;
  readonly randomKills: number;
  readonly starts: number;
}

export async function runCampaign(options: CampaignOptions): Promise<Campaign> {
  const points = new Points();
  const findings: Finding[] = [];
  const statuses = new Map<string, number>();
  const total = { killsAtPoints: 0, randomKills: 0, starts: 0 };
  let site: Site | undefined;
  let usedRounds = 0;
  let killsSeen = 0;

  const close = async (round: number, keep: boolean) => {
    if (site === undefined) return;
    const { machine } = site;
    const wrong = keep ? [] : await closeSite(site);
    for (const text of wrong) findings.push({ round, text, folder: machine.folder });
    await machine.destroy();
    total.starts += machine.starts;
    if (!findings.some(({ folder }) => folder === machine.folder)) {
      fs.rmSync(machine.folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 });
    }
    site = undefined;
  };

  const last = options.recordingRounds + options.rounds;
  for (let round = 1; round <= last && findings.length < options.maxFindings; round++) {
    const random = new Random(options.seed * 1_000_003 + round);
    const recording = round <= options.recordingRounds;
    const sizes: Sizes = { ...options.sizes, ...(recording && { orders: 0 }), chaos: !recording };
    const startedAt = performance.now();
    if (site === undefined) {
      const folder = fs.realpathSync(fs.mkdtempSync(path.join(tmpdir(), 'candor-crash-')));
      site = await openSite(new CrashMachine(folder, random));
      usedRounds = 0;
      killsSeen = 0;
    }
    const { machine } = site;
    points.readHits(machine.hitsFolder);
    const plan = planRound(`r${round}`, random, points, sizes);
    const result = await playRound(site, plan);
    points.readHits(machine.hitsFolder);
    const carriedOut = machine.kills().slice(killsSeen);
    killsSeen = machine.kills().length;
    const done = new Set(carriedOut.map(({ order }) => order?.id));
    for (const order of plan.orders) {
      if (done.has(order.id)) points.noteKill(order);
      else points.noteMissed(order);
    }
    const atPoints = carriedOut.filter(({ order }) => order !== undefined).length;
    total.killsAtPoints += atPoints;
    total.randomKills += result.randomKills;
    for (const run of result.runs) {
      const status = run.reason === undefined ? run.status : `${run.status} (${run.reason})`;
      statuses.set(status, (statuses.get(status) ?? 0) + 1);
    }
    for (const text of result.findings) findings.push({ round, text, plan, folder: machine.folder });
    const seconds = ((performance.now() - startedAt) / 1000).toFixed(1);
    const outcome = result.findings.length === 0 ? 'ok' : result.findings.map((text) => `FINDING ${text}`).join('\n  ');
    options.say(
      `round ${round}/${last}: ${recording ? 'recording, ' : ''}${result.runs.length} runs, ${atPoints} of ${plan.orders.length} ordered and ${result.randomKills} random kills, ${seconds} s: ${outcome}`,
    );
    usedRounds++;
    if (result.stuck || usedRounds >= options.roundsPerFolder || round === last) await close(round, result.stuck);
  }
  await close(last, false);
  return { seed: options.seed, rounds: options.rounds, points, findings, statuses, ...total };
}
