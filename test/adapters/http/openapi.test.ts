import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { publicDocument, ROUTES } from '../../../adapters/http/app.ts';
import { createHttpWorld, type Engine, startHttpEngine } from '../../support/httpWorld.ts';

type Operation = {
  readonly operationId: string;
  readonly parameters: readonly { readonly name: string; readonly in: string; readonly required: boolean }[];
  readonly requestBody?: { readonly content: Readonly<Record<string, { readonly schema: Record<string, unknown> }>> };
};
const document = JSON.parse(JSON.stringify(publicDocument())) as {
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
};
const operations = Object.values(document.paths).flatMap((methods) => Object.values(methods));
const documented = Object.entries(document.paths).flatMap(([at, methods]) =>
  Object.keys(methods).map((method) => `${method.toUpperCase()} ${at}`),
);

let engine: Engine;
beforeAll(async () => {
  engine = await startHttpEngine();
});
afterAll(() => engine.stop());

it('is what docs/openapi.json says; `npm run openapi` writes it anew', async () => {
  const kept = await readFile(path.join(import.meta.dirname, '../../../docs/openapi.json'), 'utf8');
  expect(JSON.parse(kept)).toEqual(document);
});

it('has every public route, each once, under an id of its own', () => {
  const routes = ROUTES.filter((route) => route.path.startsWith('/v1/')).map(
    (route) => `${route.method} ${route.path.replaceAll(/:(\w+)/g, '{$1}')}`,
  );
  expect(documented.toSorted()).toEqual(routes.toSorted());
  expect(new Set(operations.map((each) => each.operationId)).size).toBe(operations.length);
});

it('has a schema of every body, and every reference leads somewhere', () => {
  const bodies = operations.flatMap((each) => Object.values(each.requestBody?.content ?? {}));
  expect(bodies.length).toBeGreaterThan(5);
  for (const { schema } of bodies) expect(Object.keys(schema).length).toBeGreaterThan(0);
  const references = [...JSON.stringify(document).matchAll(/"\$ref":"#([^"]+)"/g)].map(([, pointer = '']) => pointer);
  for (const pointer of new Set(references)) {
    let at: unknown = document;
    for (const part of pointer.split('/').slice(1)) at = (at as Record<string, unknown>)[part];
    expect(at, pointer).toBeDefined();
  }
});

it('is served without a token, and tells of schedules although the feature is off', async () => {
  const world = await createHttpWorld(engine, { features: { schedules: false } });
  const answer = await world.app.request('/v1/openapi.json');
  expect(answer.status).toBe(200);
  expect(await answer.json()).toEqual(document);
  expect(documented).toContain('GET /v1/schedules');
  expect((await world.send('GET', '/v1/schedules')).status).toBe(404);
});
