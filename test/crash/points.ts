/** Where one can die: the failpoints that were reached, those that the source has, and what was done at each. */
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Hit, type Order, type Phase, type Program, parseHit } from './plan.ts';
import type { Random } from './random.ts';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));

export interface Point {
  readonly program: Program;
  readonly name: string;
  readonly phases: readonly Phase[];
  hits: number;
  readonly kills: Map<Phase, number>;
  /** Orders that were given and not carried out in their round. */
  missed: number;
}

/** Reached less often than this, a point belongs to the first start in a folder, or to what hardly ever happens. */
const RARE_PER_ROUND = 0.4;

export interface Choice {
  readonly program: Program;
  readonly firstRound: boolean;
  /** Only where the name contains this, as soon as such a point is known. */
  readonly at: string | undefined;
}

/** A call in the source that has an effect. */
export interface Site {
  readonly where: string;
  readonly operation: string;
}

export class Points {
  readonly #points = new Map<string, Point>();
  readonly #reachedLines = new Set<string>();
  readonly #reachedGuards = new Set<string>();
  readonly #offsets = new Map<string, number>();
  #rounds = 0;

  /** Takes in what the processes have written down since the last time. */
  readHits(folder: string): void {
    for (const name of fs.readdirSync(folder)) {
      const file = path.join(folder, name);
      const from = this.#offsets.get(file) ?? 0;
      const bytes = fs.readFileSync(file).subarray(from);
      const whole = bytes.lastIndexOf('\n') + 1;
      this.#offsets.set(file, from + whole);
      for (const line of bytes.toString('utf8', 0, whole).split('\n')) if (line !== '') this.#take(parseHit(line));
    }
  }

  #take({ program, point: name, where, phases, guards }: Hit): void {
    if (where !== '') this.#reachedLines.add(where);
    for (const each of guards) this.#reachedGuards.add(each);
    const point = this.#find(program, name) ?? { program, name, phases, hits: 0, kills: new Map(), missed: 0 };
    point.hits++;
    this.#points.set(`${program} ${name}`, point);
  }

  #find(program: Program, name: string): Point | undefined {
    return this.#points.get(`${program} ${name}`);
  }

  noteKill({ program, point, phase }: Order): void {
    const found = this.#find(program, point);
    found?.kills.set(phase, (found.kills.get(phase) ?? 0) + 1);
  }

  noteMissed({ program, point }: Order): void {
    const found = this.#find(program, point);
    if (found !== undefined) found.missed++;
  }

  /** In the order of their names. */
  all(): readonly Point[] {
    return [...this.#points.values()].sort((left, right) =>
      `${left.program} ${left.name}` < `${right.program} ${right.name}` ? -1 : 1,
    );
  }

  noteRound(): void {
    this.#rounds++;
  }

  /** How often the point is reached in a round, so far as we know. */
  hitsPerRound(point: Point): number {
    return point.hits / Math.max(1, this.#rounds);
  }

  /**
   * Mostly where nobody has died yet; what was waited for in vain has to wait itself. In a folder's first round, which alone
   * reaches them, points that are rare come first.
   */
  choose(random: Random, { program, firstRound, at }: Choice): { readonly point: Point; readonly phase: Phase } {
    const named = at === undefined ? [] : this.all().filter(({ name }) => name.includes(at));
    const own = named.length > 0 ? named : this.all().filter((point) => point.program === program);
    const rare = (point: Point) => this.hitsPerRound(point) < RARE_PER_ROUND;
    const wanted = named.length === 0 && random.chance(0.85) ? own.filter((point) => rare(point) === firstRound) : own;
    const points = wanted.length > 0 ? wanted : own;
    const all = points.flatMap((point) => point.phases.map((phase) => ({ point, phase })));
    if (random.chance(0.2)) return random.pick(all);
    const weariness = ({ point, phase }: (typeof all)[number]) => (point.kills.get(phase) ?? 0) + point.missed / 2;
    const least = Math.min(...all.map(weariness));
    return random.pick(all.filter((each) => weariness(each) < least + 0.5));
  }

  /** Calls in the source at which nobody arrived. */
  neverReached(): readonly Site[] {
    return sitesInSource().filter(({ where }) => !this.#reachedLines.has(where));
  }

  /** Guards of the core that stood in no transaction. */
  guardsNeverReached(): readonly string[] {
    return guardsInSource().filter((name) => !this.#reachedGuards.has(name));
  }
}

const CALL =
  /(?<![\w.#])(?:fs\.|process\.)?(writeSync|writeFileSync|fsyncSync|fdatasyncSync|renameSync|linkSync|unlinkSync|rmSync|mkdirSync|rename|rm|mkdir|link|unlink|writeFile|chmod|spawn|spawnSync|kill)\(/g;

function sourcesBelow(...folders: readonly string[]): readonly string[] {
  return folders.flatMap((folder) => fs.globSync(`${folder}/**/*.ts`, { cwd: ROOT })).sort();
}

/** Calls with an effect in the programs that are crashed, by the line that a stack trace would name. */
export function sitesInSource(): readonly Site[] {
  return sourcesBelow('runner', 'adapters/local', 'cli/dev').flatMap((file) => {
    const lines = fs.readFileSync(path.join(ROOT, file), 'utf8').split('\n');
    return lines.flatMap((line, index) => {
      if (/^\s*(\*|\/\/|\/\*|import\b|function\b|export function\b|async function\b)/.test(line)) return [];
      return [...line.matchAll(CALL)].map(([, operation = '']) => ({ where: `${file}:${index + 1}`, operation }));
    });
  });
}

export function guardsInSource(): readonly string[] {
  const names = sourcesBelow('core').flatMap((file) =>
    [...fs.readFileSync(path.join(ROOT, file), 'utf8').matchAll(/\bguard\(\s*'([^']+)'/g)].map(([, name = '']) => name),
  );
  return [...new Set(names)].sort();
}
