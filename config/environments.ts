/** The environments by name, and the one that is asked for, validated. */
import type * as z from 'zod';
import { dev } from './dev.ts';
import { emulator } from './emulator.ts';
import { prod } from './prod.ts';
import { EnvironmentConfig, type EnvironmentInput } from './schema.ts';
import { staging } from './staging.ts';

export const ENVIRONMENTS: Readonly<Record<string, EnvironmentInput>> = { dev, staging, prod, emulator };

/** The operator's mistake, in words for the operator: shown without a stack trace. */
export class ConfigError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'ConfigError';
  }
}

/** @throws ConfigError naming the known environments, or every field that is wrong with its remedy */
export function environmentNamed(name: unknown): EnvironmentConfig {
  const known = Object.keys(ENVIRONMENTS).join(', ');
  if (typeof name !== 'string' || name === '')
    throw new ConfigError(`Say which environment: -c env=NAME. There are: ${known}.`);
  const input = Object.hasOwn(ENVIRONMENTS, name) ? ENVIRONMENTS[name] : undefined;
  if (input === undefined)
    throw new ConfigError(
      `There is no environment ${name}. There are: ${known}. Add config/${name}.ts and name it in config/environments.ts.`,
    );
  return validated(name, input);
}

/** @throws ConfigError naming every field that is wrong, with its remedy */
export function validated(name: string, input: unknown): EnvironmentConfig {
  const parsed = EnvironmentConfig.safeParse(input);
  if (parsed.success) return parsed.data;
  const lines = parsed.error.issues.map((issue) => `  ${pathOf(issue)}: ${remedyOf(issue)}`);
  throw new ConfigError(`config/${name}.ts is not valid:\n${lines.join('\n')}`);
}

function pathOf({ path }: z.core.$ZodIssue): string {
  const shown = path.map((part, index) =>
    typeof part === 'number' ? `[${part}]` : `${index === 0 ? '' : '.'}${String(part)}`,
  );
  return shown.join('') || '(the whole)';
}

function remedyOf(issue: z.core.$ZodIssue): string {
  if (issue.code === 'unrecognized_keys') {
    const names = issue.keys.join(', ');
    return `does not know ${names}; correct the name or take it out (config/schema.ts lists what there is)`;
  }
  // What is wrong with a name stands within: the outer message only says that something is.
  if (issue.code === 'invalid_key') return issue.issues.map(({ message }) => message).join('; ');
  return issue.message;
}
