import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { publicDocument } from '../../../adapters/http/app.ts';
import { examplesFile, recordExamples } from '../../support/exampleRun.ts';
import { createHttpWorld, type Engine, startHttpEngine } from '../../support/httpWorld.ts';

let engine: Engine;
beforeAll(async () => {
  engine = await startHttpEngine();
});
afterAll(() => engine.stop());

it('the examples are what the API answers today; `npm run openapi` records them anew', async () => {
  const kept = await readFile(path.join(import.meta.dirname, '../../../adapters/http/examples.json'), 'utf8');
  expect(JSON.parse(examplesFile(await recordExamples(engine)))).toEqual(JSON.parse(kept));
});

it('the document is served without a token, and tells of schedules although the feature is off', async () => {
  const world = await createHttpWorld(engine, { features: { schedules: false } });
  const answer = await world.app.request('/v1/openapi.json');
  expect(answer.status).toBe(200);
  const document = (await answer.json()) as { readonly paths: object };
  expect(document).toEqual(JSON.parse(JSON.stringify(publicDocument())));
  expect(document.paths).toHaveProperty(['/v1/schedules']);
  expect((await world.send('GET', '/v1/schedules')).status).toBe(404);
});

it('the page for people is served without a token, with a policy that lets it load nothing', async () => {
  const world = await createHttpWorld(engine);
  const answer = await world.send('GET', '/v1/reference', { token: null });
  expect(answer.status).toBe(200);
  expect(answer.headers.get('content-type')).toBe('text/html; charset=utf-8');
  expect(answer.headers.get('content-security-policy')).toMatch(/^default-src 'none'; style-src 'sha256-[^']+';/);
  expect(answer.text).toMatch(/^<!doctype html>/);
});
