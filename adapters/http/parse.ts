/** What a request says: body, query and preconditions, each read with its limits before anybody acts on it. */
import type * as z from 'zod';
import { CandorError, type FieldError, InvalidRequest } from '../../core/errors.ts';
import type { Precondition } from '../../core/rules.ts';
import { fieldErrors, type Source } from './issues.ts';
import { structureError } from './structure.ts';

export interface BodyRules {
  readonly maxBytes: number;
  /** A request without a body counts as `{}`. */
  readonly optional: boolean;
  /** A runner's reports: what the work wrote must not make the whole report fail, so it is mended, not refused. */
  readonly mend?: (value: unknown) => unknown;
}

export interface ReadBody<Body> {
  readonly body: Body;
  /** As it was sent. */
  readonly value: unknown;
}

/** @throws CandorError `unsupported_media_type`, `payload_too_large`, `malformed_json`; InvalidRequest */
export async function readBody<Schema extends z.ZodType>(
  request: Request,
  schema: Schema,
  rules: BodyRules,
): Promise<ReadBody<z.output<Schema>>> {
  const value = await readJson(request, rules);
  return { value, body: validated(schema, rules.mend === undefined ? value : rules.mend(value), 'body') };
}

async function readJson(request: Request, rules: BodyRules): Promise<unknown> {
  const encoding = request.headers.get('content-encoding') ?? 'identity';
  if (encoding !== 'identity')
    throw new CandorError('unsupported_media_type', 'The body is compressed.', {
      remedy: 'Send the body as it is, without Content-Encoding.',
    });
  const bytes = await readBytes(request, rules.maxBytes);
  if (bytes.length === 0 && rules.optional) return {};
  checkMediaType(request.headers.get('content-type'));
  const value = parseJson(bytes);
  const error = rules.mend === undefined ? structureError(value) : undefined;
  if (error !== undefined) throw invalid('body', [error]);
  return value;
}

/** JSON is UTF-8 (RFC 8259): another charset is another media type here. */
function checkMediaType(header: string | null): void {
  const [type = '', ...parameters] = (header ?? '').toLowerCase().split(';');
  const foreign = parameters.some((each) => /^\s*charset\s*=/.test(each) && !/=\s*"?utf-?8"?\s*$/.test(each));
  if (type.trim() !== 'application/json' || foreign)
    throw new CandorError(
      'unsupported_media_type',
      header === null ? 'The body has no Content-Type.' : 'The Content-Type of the body is not application/json.',
    );
}

/** Stops at the limit: what is too large is not read to its end. */
async function readBytes(request: Request, maxBytes: number): Promise<Uint8Array> {
  if (Number(request.headers.get('content-length') ?? 0) > maxBytes) throw tooLarge(maxBytes);
  const reader = request.body?.getReader();
  if (reader === undefined) return new Uint8Array();
  const parts: Uint8Array[] = [];
  let length = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return Buffer.concat(parts);
    length += value.length;
    if (length > maxBytes) {
      await reader.cancel();
      throw tooLarge(maxBytes);
    }
    parts.push(value);
  }
}

const tooLarge = (maxBytes: number) =>
  new CandorError('payload_too_large', `The body has more than ${maxBytes} bytes.`, { facts: { maxBytes } });

function parseJson(bytes: Uint8Array): unknown {
  if (bytes.length === 0) throw new CandorError('malformed_json', 'The body is empty.');
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch (error) {
    const position = error instanceof SyntaxError ? /position (\d+)/.exec(error.message)?.[1] : undefined;
    const where = position === undefined ? '' : `; what is wrong begins at character ${position}`;
    throw new CandorError('malformed_json', `The body is not JSON in UTF-8${where}.`);
  }
}

/** Every parameter is known and given once. @throws InvalidRequest */
export function readQuery<Schema extends z.ZodType>(url: URL, schema: Schema): z.output<Schema> {
  const values: Record<string, string> = Object.create(null);
  const errors: FieldError[] = [];
  for (const name of new Set(url.searchParams.keys())) {
    const [value = '', ...more] = url.searchParams.getAll(name);
    if (more.length > 0) errors.push({ pointer: name, message: 'must be given once' });
    values[name] = value;
  }
  if (errors.length > 0) throw invalid('query', errors);
  return validated(schema, values, 'query');
}

function validated<Schema extends z.ZodType>(schema: Schema, value: unknown, source: Source): z.output<Schema> {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  throw invalid(source, fieldErrors(parsed.error.issues, schema, value, source));
}

function invalid(source: Source, errors: readonly FieldError[]): InvalidRequest {
  const [first] = errors;
  const what = source === 'query' ? 'parameter' : 'field';
  if (errors.length !== 1 || first === undefined)
    return new InvalidRequest(`The ${source} has ${errors.length} ${what}s that are wrong.`, errors);
  const subject = first.pointer === '' ? 'it' : shorten(first.pointer);
  return new InvalidRequest(`The ${source} is not valid: ${subject} ${first.message}.`, errors);
}

const NAME_SHOWN_MAX = 200;
const shorten = (text: string) => (text.length > NAME_SHOWN_MAX ? `${text.slice(0, NAME_SHOWN_MAX)}…` : text);

/** @throws InvalidRequest for anything but one strong tag of ours, or `*` */
export function readIfMatch(request: Request): Precondition {
  const header = request.headers.get('if-match')?.trim();
  if (header === undefined) return { kind: 'none' };
  if (header === '*') return { kind: 'any' };
  const version = /^"(0|[1-9]\d{0,14})"$/.exec(header)?.[1];
  if (version !== undefined) return { kind: 'version', version: Number(version) };
  throw new InvalidRequest(
    'The If-Match header is not one strong ETag.',
    [{ pointer: 'If-Match', message: 'must be one ETag as it was answered, such as "3" with its quotes, or *' }],
    'Send the ETag header of the resource as you read it, unchanged.',
  );
}

/** Where the header is absent: undefined. @throws InvalidRequest for what is no key */
export function readIdempotencyKey(request: Request): string | undefined {
  const key = request.headers.get('idempotency-key') ?? undefined;
  if (key === undefined || /^[!-~]{1,255}$/.test(key)) return key;
  throw new InvalidRequest(
    'The Idempotency-Key header is not a key.',
    [{ pointer: 'Idempotency-Key', message: 'must have 1 to 255 visible ASCII characters, without spaces' }],
    'Send a key of your own making that no other request has, such as a UUID.',
  );
}

/** Whether If-None-Match names the version: then the reader has it already. What is malformed names nothing. */
export function matchesIfNoneMatch(request: Request, version: number): boolean {
  const header = request.headers.get('if-none-match');
  if (header === null) return false;
  return header.split(',').some((each) => ['*', `"${version}"`, `W/"${version}"`].includes(each.trim()));
}
