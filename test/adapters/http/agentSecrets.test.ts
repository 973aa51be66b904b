/** Who may write an agent has the secrets that it names: so a role over one agent adds none to it. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { createHttpWorld, type Engine, type HttpWorld, makeAgent, startHttpEngine } from '../../support/httpWorld.ts';

let engine: Engine;
let world: HttpWorld;
beforeAll(async () => {
  engine = await startHttpEngine();
  world = await createHttpWorld(engine);
});
afterAll(() => engine.stop());

const url = 'https://git.example.com/repo.git';
const withSecrets = () =>
  makeAgent(world, { env: { A: { secret: 'own' }, B: 'plain' }, repository: { url, ref: 'main', secret: 'repo' } });

async function keyOf(grants: object): Promise<string> {
  const { id } = (await world.send('POST', '/v1/principals', { body: { name: 'ci', ...grants } })).body;
  return (await world.send('POST', `/v1/principals/${id}/keys`, { body: { name: 'k' } })).body.key;
}
const patch = (id: string, token: string, body: object) =>
  world.send('PATCH', `/v1/agents/${id}`, { token, body, headers: { 'if-match': '*' } });

it.each([
  ['/env/X/secret', { env: { X: { secret: 'another' } } }],
  ['/repository/secret', { repository: { url, ref: 'main', secret: 'another' } }],
])('an editor of one agent names no secret that is new to it (%s)', async (pointer, body) => {
  const agent = await withSecrets();
  for (const role of [undefined, 'viewer', 'operator']) {
    const token = await keyOf({ ...(role && { role }), agents: { [agent.id]: 'editor' } });
    const answer = await patch(agent.id, token, body);
    expect([answer.status, answer.body.code, answer.body.errors[0].pointer]).toEqual([403, 'forbidden', pointer]);
    expect(answer.text).not.toContain('another');
  }
  expect((await patch(agent.id, await keyOf({ role: 'editor' }), body)).status).toBe(200);
});

it('it changes all else, and moves the secrets that the agent has', async () => {
  const agent = await withSecrets();
  const token = await keyOf({ agents: { [agent.id]: 'editor' } });
  const moved = { env: { C: { secret: 'own' }, D: { secret: 'repo' }, B: 'other' }, repository: { url, ref: 'main' } };
  expect((await patch(agent.id, token, moved)).status).toBe(200);
  expect((await patch(agent.id, token, { env: null })).status).toBe(200);
  // What was taken away is new again.
  expect((await patch(agent.id, token, { env: { A: { secret: 'own' } } })).status).toBe(403);
});
