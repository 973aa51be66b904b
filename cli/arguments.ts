/** What options hold, beyond what the parser can see: pairs, durations, JSON input. */
import { readFile } from 'node:fs/promises';
import { text as readStream } from 'node:stream/consumers';
import { InvalidArgumentError } from 'commander';
import type { Json } from '../core/contract/common.ts';
import { UsageError } from './errors.ts';

/** For a repeatable `K=V` option. */
export function collectPair(text: string, previous: Readonly<Record<string, string>> = {}): Record<string, string> {
  const at = text.indexOf('=');
  if (at < 1) throw new InvalidArgumentError('It must have the form NAME=VALUE.');
  // A name such as __proto__ must become an entry like any other.
  return Object.fromEntries([...Object.entries(previous), [text.slice(0, at), text.slice(at + 1)]]);
}

/** For a repeatable option. */
export const collect = (text: string, previous: readonly string[] = []): readonly string[] => [...previous, text];

/** For an option that takes a whole number. */
export const wholeNumber =
  (min: number, max: number) =>
  (text: string): number => {
    const value = /^\d{1,9}$/.test(text) ? Number(text) : Number.NaN;
    if (!(value >= min && value <= max))
      throw new InvalidArgumentError(`It must be a whole number from ${min} to ${max}.`);
    return value;
  };

/** As {@link wholeNumber}, for an optional field that {@link NONE} takes back to its default. */
export const wholeNumberOrNone =
  (min: number, max: number) =>
  (text: string): number | typeof NONE =>
    text === NONE ? NONE : wholeNumber(min, max)(text);

export interface InputOptions {
  readonly input?: string;
  readonly inputText?: string;
  readonly inputFile?: string;
}

/**
 * The input that the options give, or `undefined` where they give none. It is wrapped, because `null` is an input too.
 * @throws UsageError where it is not JSON or cannot be read
 */
export async function readInput(options: InputOptions): Promise<{ readonly value: Json } | undefined> {
  const { input, inputText, inputFile } = options;
  if ([input, inputText, inputFile].filter((each) => each !== undefined).length > 1)
    throw new UsageError('Only one of --input, --input-text and --input-file can be given.');
  if (inputText !== undefined) return { value: inputText };
  if (input !== undefined && input !== '-') return { value: parsedJson(input, 'The input (--input)', INPUT_REMEDY) };
  const file = input ?? inputFile;
  if (file === undefined) return undefined;
  return { value: parsedJson(await readText(file, 'input'), `The input (${sourceName(file)})`, INPUT_REMEDY) };
}

const INPUT_REMEDY = 'Quote it for the shell, or pass plain text with --input-text.';

/**
 * The JSON object in a file, or with `-` on standard input.
 * @throws UsageError where it cannot be read or holds something else
 */
export async function readObject(file: string): Promise<Readonly<Record<string, unknown>>> {
  const what = `The content of --file (${sourceName(file)})`;
  const remedy = 'Write one object with fields of the API, such as {"setup": [["npm", "ci"]]}.';
  const value = parsedJson(await readText(file, 'agent'), what, remedy);
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new UsageError(`${what} is JSON, but no object.`, { remedy });
  return value as Readonly<Record<string, unknown>>;
}

const sourceName = (file: string): string => (file === '-' ? 'standard input' : file);

async function readText(file: string, what: string): Promise<string> {
  if (file === '-') {
    if (process.stdin.isTTY) process.stderr.write(`Reading the ${what} as JSON from the terminal; Ctrl-D ends it.\n`);
    return readStream(process.stdin);
  }
  return readFile(file, 'utf8').catch((cause: unknown) => {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new UsageError(`The ${what} file cannot be read: ${reason}`, { cause });
  });
}

/** @param what the subject of the sentence that says that it is not JSON */
function parsedJson(text: string, what: string, remedy: string): Json {
  try {
    return JSON.parse(text) as Json;
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new UsageError(`${what} is not JSON: ${reason}`, { remedy, cause });
  }
}

/** `none` takes an optional field back to its default. */
export const NONE = 'none';

/** Lays options over what stands, so that naming one field does not silently drop its neighbours; `null` if nothing is left. */
export function mergedFields(
  present: object | undefined,
  changes: Readonly<Record<string, unknown>>,
): Record<string, never> | null | undefined {
  const changed = Object.entries(changes).filter(([, value]) => value !== undefined);
  if (changed.length === 0) return undefined;
  const merged = Object.entries({ ...present, ...Object.fromEntries(changed) }).filter(
    ([, value]) => value !== undefined && value !== NONE,
  );
  return merged.length === 0 ? null : (Object.fromEntries(merged) as Record<string, never>);
}

/** As {@link mergedFields} for `K=V` pairs, whose values are free: what goes is named apart. */
export function mergedPairs<Value>(
  present: Readonly<Record<string, Value>> | undefined,
  set: Readonly<Record<string, Value>> | undefined,
  unset: readonly string[] | undefined,
): Record<string, Value> | null | undefined {
  if (set === undefined && unset === undefined) return undefined;
  const kept = Object.entries({ ...present, ...set }).filter(([name]) => !unset?.includes(name));
  return kept.length === 0 ? null : Object.fromEntries(kept);
}
