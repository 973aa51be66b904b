/** What a call is made with, by the operation that it asks for. */
import { OPERATIONS, type Operations } from './contract.ts';
import { UnfitParameter } from './errors.ts';

export type OperationName = keyof Operations;

/** What is the same for every operation. */
export interface CallOptions {
  readonly signal?: AbortSignal | undefined;
  /** How long an answer may take, beside the time for which it was asked to be held back (`wait`). */
  readonly timeoutMs?: number | undefined;
}

type Given<Name extends string, Value> = undefined extends Value
  ? [Exclude<Value, undefined>] extends [never]
    ? unknown
    : { readonly [Key in Name]?: Value }
  : { readonly [Key in Name]: Value };
/** A query of which nothing is required need not be given. */
type Query<Value> = Value extends object
  ? Partial<Value> extends Value
    ? { readonly query?: Value | undefined }
    : { readonly query: Value }
  : unknown;
type Precondition<Kind> = [Kind] extends [never]
  ? unknown
  : Kind extends 'required'
    ? { readonly ifMatch: Version }
    : { readonly ifMatch?: Version | undefined };

/** A version, as its number or its ETag, or `*` for whatever stands. */
export type Version = number | string;

/** What an operation takes. */
export type Request<Name extends OperationName> = Given<'path', Operations[Name]['path']> &
  Query<Operations[Name]['query']> &
  Given<'body', Operations[Name]['body']> &
  Precondition<Operations[Name]['ifMatch']> &
  ((typeof OPERATIONS)[Name]['method'] extends 'POST'
    ? {
        /** A key of your own making: the same request with it has one effect, however often it is sent. Default: a new one. */
        readonly idempotencyKey?: string | undefined;
      }
    : unknown);

/** Nothing need be given where nothing is required. */
export type Arguments<Name extends OperationName> =
  Record<never, never> extends Request<Name>
    ? [request?: Request<Name> & CallOptions]
    : [request: Request<Name> & CallOptions];

/** The same without its types, as it is sent. */
export interface Plain extends CallOptions {
  readonly path?: Readonly<Record<string, string>>;
  readonly query?: Readonly<Record<string, unknown>>;
  readonly body?: unknown;
  readonly ifMatch?: Version;
  readonly idempotencyKey?: string;
}

/** The address of an operation. @throws UnfitParameter */
export function urlOf(base: string, name: OperationName, { path = {}, query = {} }: Plain): URL {
  const filled = OPERATIONS[name].path.replaceAll(/\{(\w+)\}/g, (_, parameter: string) => {
    const value = String(path[parameter] ?? '');
    if (/^\.*$/.test(value)) throw new UnfitParameter(parameter, value);
    return encodeURIComponent(value);
  });
  const url = new URL(`${base.replace(/\/+$/, '')}${filled}`);
  for (const [parameter, value] of Object.entries(query))
    if (value !== undefined) url.searchParams.set(parameter, String(value));
  return url;
}

/** A version as If-Match wants it. */
export const ifMatchOf = (version: Version): string =>
  version === '*' ? '*' : `"${String(version).replace(/^"(.*)"$/, '$1')}"`;
