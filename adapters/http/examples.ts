/** What requests and answers look like: recorded from a run of the API over a real store, never written by hand. */
import type { Operation } from '../../core/access/operations.ts';
import type { ErrorCode } from '../../core/errors.ts';
import recorded from './examples.json' with { type: 'json' };

interface OperationExamples {
  readonly request?: unknown;
  readonly answers?: Readonly<Record<string, unknown>>;
}

export type Examples = { readonly [Name in Operation]?: OperationExamples } & {
  readonly problems?: { readonly [Code in ErrorCode]?: unknown };
};

export const EXAMPLES: Examples = recorded as Examples;

export const examplesOf = (value: unknown) => (value === undefined ? {} : { examples: { recorded: { value } } });
