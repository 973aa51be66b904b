/** The OpenAPI document: kept, whole and well made. Part of `npm run check`. */
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { Validator } from '@seriousme/openapi-schema-validator';
import { Ajv2020 } from 'ajv/dist/2020.js';
import addFormats from 'ajv-formats';
import { describe, expect, it } from 'vitest';
import { publicDocument, ROUTES } from '../../../adapters/http/app.ts';
import { EXAMPLES } from '../../../adapters/http/examples.ts';
import { OPERATIONS } from '../../../core/access/operations.ts';
import { ERROR_CODES } from '../../../core/errors.ts';

interface Parameter {
  readonly name: string;
  readonly in: string;
  readonly required: boolean;
}
interface Media {
  readonly schema?: Record<string, unknown>;
  readonly examples?: Readonly<Record<string, { readonly value: unknown }>>;
}
interface Answer {
  readonly $ref?: string;
  readonly description?: string;
  readonly content?: Readonly<Record<string, Media>>;
  readonly links?: Readonly<
    Record<string, { readonly operationId: string; readonly parameters: Readonly<Record<string, string>> }>
  >;
}
interface Operation {
  readonly operationId: string;
  readonly summary: string;
  readonly tags: readonly string[];
  readonly security: readonly unknown[];
  readonly parameters: readonly Parameter[];
  readonly requestBody?: { readonly content: Readonly<Record<string, Media>> };
  readonly responses: Readonly<Record<string, Answer>>;
}

const document = JSON.parse(JSON.stringify(publicDocument())) as {
  readonly tags: readonly { readonly name: string }[];
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
  readonly components: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
};
const operations = Object.entries(document.paths).flatMap(([at, methods]) =>
  Object.entries(methods).map(([method, operation]) => ({ at, method, ...operation })),
);
const text = JSON.stringify(document);

/** What a JSON pointer leads to; undefined where it leads nowhere. */
function at(pointer: string): unknown {
  const parts = pointer.split('/').slice(1);
  return parts.reduce<unknown>(
    (value, part) => (value as Record<string, unknown> | undefined)?.[part.replaceAll('~1', '/').replaceAll('~0', '~')],
    document,
  );
}

it('is what docs/openapi.json says; `npm run openapi` writes it anew', async () => {
  const kept = await readFile(path.join(import.meta.dirname, '../../../docs/openapi.json'), 'utf8');
  expect(JSON.parse(kept)).toEqual(document);
});

it('is an OpenAPI 3.1 document by its schema', async () => {
  const { valid, errors } = await new Validator().validate(JSON.parse(text) as Record<string, unknown>);
  expect(errors ?? []).toEqual([]);
  expect(valid).toBe(true);
});

it('has every public route, each once, under its name', () => {
  const routes = ROUTES.filter((route) => route.path.startsWith('/v1/'));
  expect(operations.map((each) => `${each.method} ${each.at} ${each.operationId}`).toSorted()).toEqual(
    routes
      .map((each) => `${each.method.toLowerCase()} ${each.path.replaceAll(/:(\w+)/g, '{$1}')} ${each.operation}`)
      .toSorted(),
  );
  expect(new Set(operations.map((each) => each.operationId)).size).toBe(operations.length);
});

describe('is well made:', () => {
  it('every operation says what it does in a short sentence, under a known tag', () => {
    const tags = new Set(document.tags.map(({ name }) => name));
    for (const { operationId, summary, tags: own } of operations) {
      expect(summary, operationId).toMatch(/^[A-Z].{3,99}\.$/);
      expect(own.length === 1 && own.every((tag) => tags.has(tag)), operationId).toBe(true);
    }
  });

  it('every operation has an answer for success and one for each way to fail', () => {
    for (const { operationId, responses, requestBody, at: where, security } of operations) {
      const statuses = Object.keys(responses).map(Number);
      expect(
        statuses.some((status) => status < 300),
        operationId,
      ).toBe(true);
      const expected = [
        422,
        500,
        ...(security.length > 0 ? [401, 403, 503] : []),
        ...(requestBody === undefined ? [] : [400, 413, 415]),
        ...(where.includes('{') ? [404] : []),
      ];
      expect(statuses, operationId).toEqual(expect.arrayContaining(expected));
      expect(security.length === 0, operationId).toBe(OPERATIONS[operationId as keyof typeof OPERATIONS] === 'public');
    }
  });

  it('every parameter of a path is declared, and no other', () => {
    for (const { operationId, parameters, at: where } of operations) {
      const named = [...where.matchAll(/\{(\w+)\}/g)].map(([, name]) => name);
      const declared = parameters.filter((each) => each.in === 'path');
      expect(declared.map(({ name }) => name).toSorted(), operationId).toEqual(named.toSorted());
      expect(declared.every(({ required }) => required)).toBe(true);
    }
  });

  it('every reference leads somewhere, and every component is referred to', () => {
    const references = new Set([...text.matchAll(/"\$ref":"#([^"]+)"/g)].map(([, pointer = '']) => pointer));
    for (const pointer of references) expect(at(pointer), pointer).toBeDefined();
    const unused = ['headers', 'responses', 'schemas'].flatMap((kind) =>
      Object.keys(document.components[kind] ?? {})
        .map((name) => `/components/${kind}/${name}`)
        .filter((pointer) => !references.has(pointer)),
    );
    expect(unused).toEqual([]);
  });

  it('every body has a schema that refuses unknown fields, apart from the document itself', () => {
    const schemas = Object.entries(document.components.schemas ?? {}) as [string, Record<string, unknown>][];
    const open = schemas
      .filter(([, schema]) => schema.type === 'object' && schema.additionalProperties !== false && !('oneOf' in schema))
      .map(([name]) => name);
    expect(open).toEqual([]);
    const bodies = operations.flatMap((each) => Object.values(each.requestBody?.content ?? {}));
    expect(bodies.length).toBeGreaterThan(10);
    for (const { schema } of bodies) expect(Object.keys(schema ?? {}).length).toBeGreaterThan(0);
  });

  it('every link leads to an operation and names its parameters', () => {
    const byId = new Map(operations.map((each) => [each.operationId, each]));
    const links = operations.flatMap(({ responses }) =>
      Object.values(responses).flatMap((answer) => Object.values(answer.links ?? {})),
    );
    expect(links.length).toBeGreaterThan(50);
    for (const { operationId, parameters } of links) {
      const target = byId.get(operationId)?.parameters.map(({ name }) => name) ?? [];
      expect(target, operationId).toEqual(expect.arrayContaining(Object.keys(parameters)));
    }
  });

  it('every code of the public API is told by some operation, with its status', () => {
    const told = new Set([...text.matchAll(/`([a-z_]+)`: /g)].map(([, code = '']) => code));
    const ofRunners = ['chunk_conflict', 'stale_generation', 'stale_heartbeat'];
    const ofPaths = ['method_not_allowed'];
    expect([...told, ...ofRunners, ...ofPaths].toSorted()).toEqual(Object.keys(ERROR_CODES).toSorted());
  });
});

describe('has examples:', () => {
  const ajv = new Ajv2020({ strict: false, allErrors: true });
  addFormats.default(ajv);
  ajv.addSchema(document, 'document');
  const escaped = (part: string) => part.replaceAll('~', '~0').replaceAll('/', '~1');

  function checked(pointer: string, media: Media): number {
    const values = Object.values(media.examples ?? {});
    const validate = ajv.getSchema(`document#${encodeURI(pointer)}/schema`);
    for (const { value } of values) {
      expect(validate?.(value), `${pointer}: ${JSON.stringify(validate?.errors)}`).toBe(true);
    }
    return values.length;
  }

  it('each is what its schema says', () => {
    let count = 0;
    for (const { at: where, method, requestBody, responses } of operations) {
      const here = `/paths/${escaped(where)}/${method}`;
      for (const [type, media] of Object.entries(requestBody?.content ?? {}))
        count += checked(`${here}/requestBody/content/${escaped(type)}`, media);
      for (const [status, answer] of Object.entries(responses))
        for (const [type, media] of Object.entries(answer.content ?? {}))
          count += checked(`${here}/responses/${status}/content/${escaped(type)}`, media);
    }
    for (const [name, answer] of Object.entries(document.components.responses as Record<string, Answer>))
      for (const [type, media] of Object.entries(answer.content ?? {}))
        count += checked(`/components/responses/${name}/content/${escaped(type)}`, media);
    expect(count).toBeGreaterThan(60);
  });

  it('every success with a JSON body has one', () => {
    const without = operations.flatMap(({ operationId, responses }) =>
      Object.entries(responses)
        .filter(([, answer]) => answer.content?.['application/json'] !== undefined)
        .filter(([, answer]) => answer.content?.['application/json']?.examples === undefined)
        .map(([status]) => `${operationId} ${status}`),
    );
    expect(without).toEqual(['getOpenApi 200']);
    expect(Object.keys(EXAMPLES.problems ?? {}).length).toBeGreaterThan(8);
  });
});
