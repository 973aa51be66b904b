import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { isoSecond } from '../../core/contract/common.ts';
import { listRuns } from '../../core/runs/service.ts';
import type { FireResult } from '../../core/schedules/fire.ts';
import { getSchedule } from '../../core/schedules/service.ts';
import { type TestEngine, testEngine, type World } from '../support/world.ts';

const PROCESSES = 4;
const DELIVERIES_EACH = 16;
const MACHINE = 'arn:aws:states:eu-central-1:000000000000:stateMachine:provision-vm';

let engine: TestEngine;
let world: World;
let stepFunctions: Server;
const started: { readonly name: string; readonly input: string }[] = [];
const children: ChildProcess[] = [];

beforeAll(async () => {
  engine = await testEngine();
  world = await engine.world();
  stepFunctions = await fakeStepFunctions();
});
afterAll(async () => {
  for (const child of children) child.kill('SIGKILL');
  stepFunctions.close();
  await engine.stop();
});

/** Answers StartExecution as Step Functions does: the same name and input while it is open is the same execution. */
async function fakeStepFunctions(): Promise<Server> {
  const server = createServer(async (request, response) => {
    let body = '';
    for await (const chunk of request) body += String(chunk);
    const parsed = JSON.parse(body) as { name: string; input: string };
    started.push(parsed);
    response.setHeader('content-type', 'application/x-amz-json-1.0');
    response.end(JSON.stringify({ executionArn: `${MACHINE}:${parsed.name}`, startDate: 1 }));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return server;
}

function instance(event: object): {
  readonly ready: Promise<void>;
  readonly go: () => void;
  readonly results: Promise<FireResult[]>;
} {
  const script = fileURLToPath(new URL('./fixtures/deliver.ts', import.meta.url));
  const child = spawn(process.execPath, [script, JSON.stringify(event), String(DELIVERIES_EACH)], {
    stdio: ['pipe', 'pipe', 'inherit'],
    env: {
      PATH: process.env.PATH,
      CANDOR_TABLE: world.tableName,
      CANDOR_DYNAMODB_ENDPOINT: engine.endpoint,
      CANDOR_STATE_MACHINE_ARN: MACHINE,
      AWS_REGION: 'eu-central-1',
      AWS_ACCESS_KEY_ID: 'test',
      AWS_SECRET_ACCESS_KEY: 'test',
      AWS_ENDPOINT_URL_SFN: `http://127.0.0.1:${(stepFunctions.address() as AddressInfo).port}`,
      POWERTOOLS_LOG_LEVEL: 'SILENT',
    },
  });
  children.push(child);
  const ready = Promise.withResolvers<void>();
  const results = Promise.withResolvers<FireResult[]>();
  createInterface({ input: child.stdout as NodeJS.ReadableStream }).on('line', (line) => {
    if (line === 'ready') ready.resolve();
    if (line.startsWith('results ')) results.resolve(JSON.parse(line.slice(8)) as FireResult[]);
  });
  child.on('exit', (code) => results.reject(new Error(`the instance ended with ${code}`)));
  return { ready: ready.promise, go: () => child.stdin?.write('go\n'), results: results.promise };
}

it('makes one run of 64 concurrent deliveries from 4 processes, and 63 answers say so (I1)', async () => {
  const now = Date.now();
  const due = Math.floor(now / 1000) * 1000 - 30_000;
  world.now = due - 60_000;
  const agent = await world.agent();
  const schedule = await world.schedule(agent.id, { cadence: { at: isoSecond(due) } });
  const event = {
    scheduleId: schedule.id,
    specVersion: 1,
    scheduledTime: isoSecond(due),
    agentId: agent.id,
    principalId: world.caller.principalId,
  };
  const instances = Array.from({ length: PROCESSES }, () => instance(event));
  await Promise.all(instances.map((each) => each.ready));

  for (const each of instances) each.go();
  const results = (await Promise.all(instances.map((each) => each.results))).flat();

  expect(results).toHaveLength(PROCESSES * DELIVERIES_EACH);
  const firsts = results.filter((each) => each.outcome === 'dispatched' && !each.duplicate);
  const duplicates = results.filter((each) => each.outcome === 'dispatched' && each.duplicate);
  expect([firsts.length, duplicates.length]).toEqual([1, PROCESSES * DELIVERIES_EACH - 1]);
  const runIds = new Set(results.map((each) => ('runId' in each ? each.runId : undefined)));
  expect(runIds.size).toBe(1);
  world.now = now;
  const runs = await listRuns(world.ports, world.caller, {}, { limit: 10 });
  expect(runs.items.map((run) => run.id)).toEqual([...runIds]);
  expect((await getSchedule(world.ports, world.caller, schedule.id)).status).toBe('completed');
  // Every placement asks for the same execution with the same bytes: Step Functions makes one of them.
  expect(new Set(started.map((each) => `${each.name} ${each.input}`)).size).toBe(1);
});

it('refuses an event that is not one of its own, before anything is read', async () => {
  const { handler } = await import('../../lambdas/fire.ts');
  await expect(handler({ scheduleId: 'not-an-id' }, {} as never)).rejects.toMatchObject({ name: 'InvalidEvent' });
});
