/**
 * The OpenAPI 3.1 document, made from the routes and from the very schemas that validate. Every public route is in it, also
 * those that a feature flag has switched off.
 */
import * as z from 'zod';
import { OPERATIONS } from '../../core/access/operations.ts';
import { CADENCE_FORMS, Cadence } from '../../core/contract/schedules.ts';
import { ERROR_CODES, type ErrorCode } from '../../core/errors.ts';
import { type AnswerHeader, type AnswerSpec, problemsOf } from './declare.ts';
import { type Examples, examplesOf } from './examples.ts';
import { linksOf } from './links.ts';
import { TITLES } from './problem.ts';
import { ProblemBody } from './problemSchema.ts';
import type { Route } from './route.ts';

export type OpenApi = Readonly<Record<string, unknown>>;

/** Routes that belong together. */
export interface RouteGroup {
  readonly tag: string;
  readonly description: string;
  readonly routes: readonly Route[];
  /** An installation may go without them: then their paths are unknown. */
  readonly switchable?: true;
}

/** What is made once and referred to. */
interface Components {
  readonly schemas: Record<string, unknown>;
  readonly responses: Record<string, unknown>;
}

export const templateOf = (path: string): string => path.replaceAll(/:(\w+)/g, '{$1}');

/** @param examples what requests and answers look like, by operation */
export function openApiDocument(groups: readonly RouteGroup[], examples: Examples = {}): OpenApi {
  const paths: Record<string, Record<string, unknown>> = {};
  const components: Components = { schemas: {}, responses: {} };
  const routes = groups.flatMap((group) => group.routes);
  for (const group of groups)
    for (const route of group.routes) {
      const path = templateOf(route.path);
      const made = operation(route, group, { components, routes, examples });
      paths[path] = { ...paths[path], [route.method.toLowerCase()]: made };
    }
  return {
    openapi: '3.1.0',
    info: {
      title: 'Candor',
      version: '1',
      summary: 'Schedules background AI-agent runs, and says what it can prove.',
      description: ABOUT,
      license: { name: 'Apache 2.0', identifier: 'Apache-2.0' },
    },
    servers: [{ url: '/', description: 'The server that this document came from.' }],
    tags: groups.map(({ tag, description }) => ({ name: tag, description })),
    paths,
    components: {
      securitySchemes: { bearer: { type: 'http', scheme: 'bearer', description: 'Authorization: Bearer <token>' } },
      parameters: { IdempotencyKey: KEY_PARAMETER },
      headers: HEADERS,
      responses: sorted({ ...components.responses, HeadersTooLarge: HEADERS_TOO_LARGE }),
      schemas: sorted(components.schemas),
    },
  };
}

const ABOUT = [
  'Errors are RFC 9457 problems with a stable `code`, the field that is wrong in `errors`, and what to do in `remedy`.',
  'The `ETag` of a resource is its version: `If-Match` is required where a resource is changed or deleted (428 without it, 412 where another version stands, `*` for whatever stands), and honoured by actions.',
  'Lists are read page by page: `nextCursor` of one page is `cursor` of the next; no `nextCursor`: it was the last.',
  'Times are ISO 8601 in UTC, durations ISO 8601 (`PT15M`). Fields and parameters that are not known are refused. What a caller may not see is 404.',
  'A method that a path does not take is 405 with `Allow`; a path that does not exist is 404.',
].join('\n\n');

const HEADERS: Readonly<
  Record<AnswerHeader | 'X-Request-Id' | 'Retry-After' | 'WWW-Authenticate' | 'Idempotency-Replayed', object>
> = {
  'Idempotency-Replayed': {
    description: 'true: the effect is of a request that came before with the same Idempotency-Key.',
    schema: { type: 'string', enum: ['true'] },
  },
  ETag: { description: 'The version of what was answered, in quotes.', required: true, schema: { type: 'string' } },
  Location: {
    description: 'Where it is to be found.',
    required: true,
    schema: { type: 'string', format: 'uri-reference' },
  },
  'Content-Disposition': { description: 'The name of the file.', required: true, schema: { type: 'string' } },
  'X-Request-Id': { description: 'The name of the request in the logs.', required: true, schema: { type: 'string' } },
  'Retry-After': {
    description: 'Try again after so many seconds.',
    required: true,
    schema: { type: 'integer', minimum: 0 },
  },
  'WWW-Authenticate': { description: 'Bearer.', required: true, schema: { type: 'string' } },
};
/** The one answer that is not the API's own. */
const HEADERS_TOO_LARGE = {
  description:
    'The address and the headers together are too large (16 KiB on one machine, 10 KiB behind API Gateway). What receives the request answers this before the API sees it, without a problem in the body.',
};

type HeaderName = keyof typeof HEADERS;
const headers = (...names: readonly HeaderName[]) =>
  Object.fromEntries(
    [...names, 'X-Request-Id' as const].map((name) => [name, { $ref: `#/components/headers/${name}` }]),
  );
/** Those that are there in some cases only. */
const possibleHeaders = (names: readonly HeaderName[] = []) =>
  Object.fromEntries(
    names.map((name) => [
      name,
      'required' in HEADERS[name] ? { ...HEADERS[name], required: false } : { $ref: `#/components/headers/${name}` },
    ]),
  );

interface Making {
  readonly components: Components;
  readonly routes: readonly Route[];
  readonly examples: Examples;
}

function operation(route: Route, { tag, switchable }: RouteGroup, making: Making): OpenApi {
  const { components, examples } = making;
  return {
    operationId: route.operation,
    tags: [tag],
    summary: route.summary,
    ...(route.description !== undefined && { description: route.description }),
    security: route.access === 'public' ? [] : [{ bearer: [] }],
    ...(route.access !== 'public' && { 'x-least-role': OPERATIONS[route.operation] }),
    parameters: [
      ...pathParameters(route),
      ...queryParameters(route),
      ...conditionalHeaders(route),
      ...keyHeader(route),
    ],
    ...(route.body !== undefined && {
      requestBody: {
        required: !route.body.optional,
        content: {
          'application/json': {
            schema: requestSchema(route, components),
            ...examplesOf(examples[route.operation]?.request),
          },
        },
      },
    }),
    responses: {
      ...Object.fromEntries(route.answers.map((answer) => [answer.status, answered(route, answer, making)])),
      ...problemAnswers(problemsOf(route, switchable === true), components, examples),
      431: { $ref: '#/components/responses/HeadersTooLarge' },
    },
  };
}

function answered(route: Route, answer: AnswerSpec, { components, routes, examples }: Making): OpenApi {
  const links = linksOf(route, answer, routes);
  return {
    description: answer.description,
    headers: {
      ...headers(...(answer.headers ?? [])),
      ...possibleHeaders([
        ...(answer.possibleHeaders ?? []),
        ...(route.keyed === 'never' ? [] : (['Idempotency-Replayed'] as const)),
      ]),
    },
    ...(answer.body !== undefined && {
      content: {
        'application/json': {
          schema: schemaOf(answer.body, 'output', components),
          ...examplesOf(examples[route.operation]?.answers?.[answer.status]),
        },
      },
    }),
    ...(answer.mediaType !== undefined && { content: { [answer.mediaType]: {} } }),
    ...(Object.keys(links).length > 0 && { links }),
  };
}

/** One answer per status; those that say the same are one component. */
function problemAnswers(codes: readonly ErrorCode[], components: Components, examples: Examples): OpenApi {
  const byStatus = new Map<number, ErrorCode[]>();
  for (const code of codes) {
    const { status } = ERROR_CODES[code];
    byStatus.set(status, [...(byStatus.get(status) ?? []), code].sort());
  }
  return Object.fromEntries(
    [...byStatus].map(([status, some]) => {
      const name = some.map(pascal).join('Or');
      components.responses[name] ??= problemAnswer(status, some, components, examples);
      return [status, { $ref: `#/components/responses/${name}` }];
    }),
  );
}

function problemAnswer(status: number, codes: readonly ErrorCode[], components: Components, examples: Examples) {
  const found = Object.fromEntries(
    codes.flatMap((code) => {
      const value = examples.problems?.[code];
      return value === undefined ? [] : [[code, { value }]];
    }),
  );
  return {
    description: codes.map((code) => `\`${code}\`: ${TITLES[code]}.`).join(' '),
    headers: {
      ...headers(
        ...(status === 401 ? (['WWW-Authenticate'] as const) : []),
        ...(status === 503 || status === 429 ? (['Retry-After'] as const) : []),
        ...(status === 412 ? (['ETag'] as const) : []),
      ),
      ...possibleHeaders(codes.includes('idempotency_in_flight') ? ['Retry-After'] : []),
    },
    content: {
      'application/problem+json': {
        schema: {
          allOf: [
            schemaOf(ProblemBody, 'output', components),
            { properties: { status: { const: status }, code: { enum: codes } } },
          ],
        },
        ...(Object.keys(found).length > 0 && { examples: found }),
      },
    },
  };
}

const pathParameters = ({ path }: Route): readonly unknown[] =>
  [...path.matchAll(/:(\w+)/g)].map(([, name = '']) => ({
    name,
    in: 'path',
    required: true,
    schema: ID_FORMS[name] ?? { type: 'string' },
  }));

const idForm = (prefix: string) => ({ type: 'string', pattern: `^${prefix}[0-9a-hjkmnp-tv-z]{26}$` });
const ID_FORMS: Readonly<Record<string, unknown>> = {
  agentId: idForm('agt_'),
  scheduleId: idForm('sch_'),
  backfillId: idForm('bkf_'),
  runId: idForm('run_'),
  vmId: idForm('vm_'),
  principalId: { type: 'string', pattern: '^(usr|sac)_[0-9a-z]{1,26}$' },
  keyId: idForm('key_'),
  webhookId: idForm('whk_'),
  deliveryId: idForm('msg_'),
};

function queryParameters({ query }: Route): readonly unknown[] {
  if (query === undefined) return [];
  const { properties = {}, required = [] } = converted(query, 'input').schema as {
    properties?: Record<string, { description?: string }>;
    required?: readonly string[];
  };
  return Object.entries(properties).map(([name, { description, ...schema }]) => ({
    name,
    in: 'query',
    required: required.includes(name),
    ...(description !== undefined && { description }),
    schema,
  }));
}

const IF_MATCH: Readonly<Record<NonNullable<Route['ifMatch']>, string>> = {
  required: 'The ETag of the resource as it was read, or * for any.',
  for_changes: 'The ETag of the resource as it was read, or * for any. Required, unless dryRun=true.',
  honoured: 'The ETag of the resource as it was read: nothing is done at another version.',
};

function conditionalHeaders({ ifMatch, answers }: Route): readonly unknown[] {
  const parameter = (name: string, required: boolean, description: string, schema: object) => ({
    name,
    in: 'header',
    required,
    description,
    schema: { type: 'string', ...schema },
  });
  return [
    ...(ifMatch === undefined
      ? []
      : [
          parameter('If-Match', ifMatch === 'required', IF_MATCH[ifMatch], {
            pattern: '^(\\*|"(0|[1-9][0-9]{0,14})")$',
          }),
        ]),
    ...(answers.some(({ status }) => status === 304)
      ? [parameter('If-None-Match', false, 'The ETag of what the reader has already.', {})]
      : []),
  ];
}

const keyHeader = ({ keyed }: Route): readonly unknown[] =>
  keyed === 'never' ? [] : [{ $ref: '#/components/parameters/IdempotencyKey' }];

const KEY_PARAMETER = {
  name: 'Idempotency-Key',
  in: 'header',
  required: false,
  description:
    'A key of your own making that no other request has. The same request sent again with it has no second effect: it gets ' +
    'the answer of the first one, with the header Idempotency-Replayed: true. While the first one is at work: 409 with ' +
    'Retry-After. With another body, query or If-Match: 422. A key counts for one caller, one operation and one path, for as ' +
    'long as limits.idempotencyKeyRetention of GET /v1/system says (24 hours, unless the installation says otherwise). A ' +
    'request that changed nothing (refused, not found) leaves no trace and is carried out when it comes again.',
  schema: { type: 'string', minLength: 1, maxLength: 255, pattern: '^[!-~]+$' },
} as const;

/** Requests are named after their operation. */
function requestSchema(route: Route, components: Components): unknown {
  const name = `${pascal(route.operation)}Request`;
  components.schemas[name] ??= schemaOf(route.body?.schema ?? z.unknown(), 'input', components);
  return { $ref: `#/components/schemas/${name}` };
}

type Direction = 'input' | 'output';

/** As it is sent: durations and times as text, what has a default not required. Named schemas become components. */
function schemaOf(schema: z.ZodType, io: Direction, components: Components): unknown {
  const { schema: made, named } = converted(z.strictObject({ it: schema }), io);
  for (const [name, definition] of Object.entries(named)) components.schemas[name] ??= definition;
  return (made as { readonly properties: { readonly it: unknown } }).properties.it;
}

function converted(schema: z.ZodType, io: Direction): { readonly schema: unknown; readonly named: OpenApi } {
  const made = z.toJSONSchema(schema, {
    io,
    unrepresentable: 'any',
    reused: 'inline',
    override: ({ zodSchema, jsonSchema }) => {
      // What a transformation takes is not told by its schema.
      if (zodSchema === Cadence)
        Object.assign(jsonSchema, {
          type: 'object',
          oneOf: CADENCE_FORMS.map((form) => converted(form, 'input').schema),
          properties: undefined,
          additionalProperties: undefined,
        });
    },
  });
  const { $schema: _draft, $defs: named = {}, ...rest } = tidied(made) as OpenApi & { readonly $defs?: OpenApi };
  const own = Object.entries(named).filter(([name]) => !name.startsWith(UNNAMED));
  return {
    schema: rest,
    named: Object.fromEntries(own.map(([name, each]) => [name, withoutId(each as OpenApi)])),
  };
}

const UNNAMED = '__schema';
const withoutId = ({ id: _id, ...rest }: OpenApi): OpenApi => rest;

/** References to components, and without what says nothing. */
const tidied = (schema: unknown): unknown =>
  JSON.parse(JSON.stringify(schema), (name, value) => {
    if (name === 'minimum' && value === Number.MIN_SAFE_INTEGER) return undefined;
    if (name === 'maximum' && value === Number.MAX_SAFE_INTEGER) return undefined;
    if (name === 'propertyNames' && JSON.stringify(value) === '{"type":"string"}') return undefined;
    if (typeof value?.$ref !== 'string' || !value.$ref.startsWith('#/$defs/')) return value;
    const { $ref, ...beside } = value as { readonly $ref: string };
    const target = $ref.slice('#/$defs/'.length);
    // The one schema that contains itself is "any JSON value", which JSON Schema says by saying nothing.
    if (target.startsWith(UNNAMED)) return { description: 'Any JSON value.', ...beside };
    return { ...beside, $ref: `#/components/schemas/${target}` };
  });

const pascal = (name: string): string =>
  name
    .split('_')
    .map((part) => part.charAt(0).toUpperCase() + part.slice(1))
    .join('');

const sorted = (record: Readonly<Record<string, unknown>>) =>
  Object.fromEntries(Object.entries(record).sort(([left], [right]) => (left < right ? -1 : 1)));
