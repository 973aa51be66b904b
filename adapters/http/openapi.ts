/**
 * The OpenAPI 3.1 document, made from the routes and from the very schemas that validate. Every route is in it, also those
 * that a feature flag has switched off. Answers are described by their media type so far, not by a schema.
 */
import * as z from 'zod';
import { ERROR_CODES } from '../../core/errors.ts';
import type { Route } from './route.ts';

export type OpenApi = Readonly<Record<string, unknown>>;

const PROBLEM = { $ref: '#/components/schemas/Problem' } as const;

/** @param routes the public ones: what runners use is not for others to build on */
export function openApiDocument(routes: readonly Route[]): OpenApi {
  const paths: Record<string, Record<string, unknown>> = {};
  for (const route of routes) {
    const path = route.path.replaceAll(/:(\w+)/g, '{$1}');
    paths[path] = { ...paths[path], [route.method.toLowerCase()]: operation(route) };
  }
  return {
    openapi: '3.1.0',
    info: {
      title: 'Candor',
      version: '1',
      description: 'Schedules background AI-agent runs, and says what it can prove.',
    },
    paths,
    components: {
      securitySchemes: { bearer: { type: 'http', scheme: 'bearer' } },
      parameters: { IdempotencyKey: KEY_PARAMETER },
      schemas: { Problem: problemSchema() },
    },
  };
}

function operation(route: Route): OpenApi {
  return {
    operationId: route.operation,
    ...(route.access !== 'public' && { security: [{ bearer: [] }] }),
    parameters: [...pathParameters(route), ...queryParameters(route), ...conditionalHeader(route), ...keyHeader(route)],
    ...(route.body !== undefined && {
      requestBody: {
        required: !route.body.optional,
        content: { 'application/json': { schema: schemaOf(route.body.schema) } },
      },
    }),
    responses: {
      '2XX': { description: 'Done, or accepted; the body is the resource or the page that the path names.' },
      default: {
        description: 'A problem (RFC 9457): its code says which, its remedy what to do.',
        content: { 'application/problem+json': { schema: PROBLEM } },
      },
    },
  };
}

const pathParameters = ({ path }: Route): readonly unknown[] =>
  [...path.matchAll(/:(\w+)/g)].map(([, name]) => ({ name, in: 'path', required: true, schema: { type: 'string' } }));

function queryParameters({ query }: Route): readonly unknown[] {
  if (query === undefined) return [];
  const { properties = {}, required = [] } = schemaOf(query) as {
    properties?: Record<string, unknown>;
    required?: readonly string[];
  };
  return Object.entries(properties).map(([name, schema]) => ({
    name,
    in: 'query',
    required: required.includes(name),
    schema,
  }));
}

/** Required where a resource is changed or deleted, honoured by the actions on a resource. */
function conditionalHeader({ method, path }: Route): readonly unknown[] {
  const isAction = method === 'POST' && /:\w+\/[\w-]+$/.test(path) && !/\/(runs|schedules)$/.test(path);
  // A key has no version: taking it away twice is the same.
  const isChange = method === 'PATCH' || (method === 'DELETE' && !path.includes('/keys/'));
  if (!isAction && !isChange) return [];
  const description = 'The ETag of the resource as it was read, or * for whatever stands.';
  return [{ name: 'If-Match', in: 'header', required: isChange, description, schema: { type: 'string' } }];
}

const keyHeader = ({ method }: Route): readonly unknown[] =>
  method === 'POST' ? [{ $ref: '#/components/parameters/IdempotencyKey' }] : [];

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

/** As the request is sent: durations and times as text, what has a default not required. */
function schemaOf(schema: z.ZodType): unknown {
  const made = z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any', reused: 'inline' });
  const { $schema: _draft, $defs: _recursive, ...rest } = made;
  // The one schema that contains itself is "any JSON value", which JSON Schema says by saying nothing.
  return JSON.parse(JSON.stringify(rest), (_name, value) =>
    typeof value?.$ref === 'string' && value.$ref.startsWith('#/$defs/') ? { description: 'Any JSON value.' } : value,
  );
}

const problemSchema = (): OpenApi => ({
  type: 'object',
  required: ['type', 'title', 'status', 'detail', 'code', 'retryable', 'requestId'],
  properties: {
    type: { type: 'string', format: 'uri-reference' },
    title: { type: 'string' },
    status: { type: 'integer', enum: [...new Set(Object.values(ERROR_CODES).map((each) => each.status))].sort() },
    detail: { type: 'string' },
    code: { type: 'string', enum: Object.keys(ERROR_CODES) },
    errors: {
      type: 'array',
      items: {
        type: 'object',
        required: ['pointer', 'message'],
        properties: { pointer: { type: 'string' }, message: { type: 'string' } },
      },
    },
    remedy: { type: 'string' },
    retryable: { type: 'boolean' },
    requestId: { type: 'string' },
    instance: { type: 'string', format: 'uri-reference' },
  },
});
