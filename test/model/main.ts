/**
 * `npm run check:model [-- name …]`: the models whole, and without each guard of theirs (only those that are named). The
 * whole ones must be searched to their last state without an error; each removal must break the invariant that the guard is
 * there for. See docs/model.md.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { ROOT } from '../../lib/bundle/paths.ts';
import { REMOVALS, type Removal } from './guards.ts';
import { findSpin, requireCompiler, type Search, search, Unequipped } from './spin.ts';

const AT_ONCE = 2;
const MODELS = ['fire', 'run'] as const;

interface Task {
  readonly model: string;
  readonly removal?: Removal;
}

const say = (line: string) => process.stdout.write(`${line}\n`);

const definesOf = ({ removal }: Task): readonly string[] =>
  removal === undefined ? [] : [`-DWITHOUT_${removal.name}`, `-DONLY=${removal.breaks}`];

/** Why the search does not show what it should, or undefined. */
function complaint({ removal }: Task, { isExhausted, error, neverReached, report }: Search): string | undefined {
  if (removal !== undefined) {
    if (error?.startsWith('assertion violated') === true) return undefined;
    return error ?? (isExhausted ? 'nothing breaks without it' : `the search was cut short:\n${report}`);
  }
  if (error !== undefined) return error;
  if (!isExhausted) return `the search was cut short:\n${report}`;
  return neverReached.length === 0 ? undefined : `assertions that are never reached:\n${neverReached.join('\n')}`;
}

function row({ model, removal }: Task, { states, depth, seconds, error }: Search): string {
  const what = removal === undefined ? 'whole' : `without ${removal.name}`;
  const found = removal === undefined ? 'exhausted' : `I${removal.breaks}`;
  const cells = [model.padEnd(4), what.padEnd(35), found.padEnd(9)];
  const numbers = [
    states.toLocaleString('en').padStart(11),
    String(depth).padStart(5),
    `${seconds.toFixed(0)} s`.padStart(6),
  ];
  return [...cells, ...numbers, error?.replace(/\s+/g, ' ') ?? ''].join('  ').trimEnd();
}

async function main(names: readonly string[]): Promise<number> {
  const unknown = names.filter((name) => !REMOVALS.some((each) => each.name === name));
  if (unknown.length > 0) {
    process.stderr.write(`There is no ${unknown.join(', ')} to take out: see test/model/guards.ts.\n`);
    return 2;
  }
  const spin = findSpin();
  requireCompiler();
  say(`spin ${spin.version}`);
  const removals = REMOVALS.filter(({ name }) => names.length === 0 || names.includes(name));
  const whole: readonly Task[] = names.length === 0 ? MODELS.map((model) => ({ model })) : [];
  const tasks: readonly Task[] = [...whole, ...removals.map((removal) => ({ model: removal.model, removal }))];
  const folder = mkdtempSync(path.join(os.tmpdir(), 'candor-model-'));
  const left = tasks.entries();
  let failures = 0;
  const lane = async () => {
    for (const [index, task] of left) {
      const file = path.join(ROOT, 'test/model', `${task.model}.pml`);
      const found = await search(spin.path, file, definesOf(task), path.join(folder, String(index)));
      const wrong = complaint(task, found);
      say(`${wrong === undefined ? 'ok  ' : 'FAIL'} ${row(task, found)}`);
      if (wrong === undefined) rmSync(path.join(folder, String(index)), { recursive: true });
      else {
        failures++;
        say(`     ${wrong.replaceAll('\n', '\n     ')}`);
        if (found.error !== undefined)
          say(`     its path: cd ${folder}/${index} && ${spin.path} -t -p -g ${definesOf(task).join(' ')} ${file}`);
      }
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, lane));
  if (failures === 0) rmSync(folder, { recursive: true });
  say(
    failures === 0 ? `${tasks.length} searches, as they should be` : `${failures} of ${tasks.length} searches FAILED`,
  );
  return failures === 0 ? 0 : 1;
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  if (!(error instanceof Unequipped)) throw error;
  process.stderr.write(`${error.message}\n`);
  process.exitCode = 2;
}
