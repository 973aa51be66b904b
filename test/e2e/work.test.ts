/** What a run's process gets, and what is said of it when it cannot start or says too much (design.md §7). */
import fs from 'node:fs';
import path from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { expectOneEnd, Machine } from './support.ts';

describe("a run's process", { timeout: 120_000 }, () => {
  let machine: Machine;
  beforeAll(async () => {
    machine = new Machine('file');
    await machine.start({
      config: { maxLogBytes: 1024 * 1024, maxOutputBytes: 4096 },
      environment: { SECRET_OF_CANDOR_DEV: 'do not hand me on', NODE_OPTIONS: '--no-deprecation' },
    });
  });

  const node = (script: string) => machine.agent([process.execPath, '-e', script]);
  const ended = async (agent: { readonly id: string }, input: unknown = null) => {
    const run = await machine.ended(await machine.run(agent, input));
    await expectOneEnd(machine, run);
    return run;
  };

  it('that does not exist fails its run, with the reason', async () => {
    const run = await ended(await machine.agent(['/no/such/program', 'argument']));
    expect(run).toMatchObject({ status: 'failed', reason: 'exit_code', exitCode: 127 });
    expect(run.evidence.detail).toContain('ENOENT');
    expect(JSON.stringify(await machine.logs(run))).toContain('could not be started');
    await machine.vmGone(run);
  });

  it('that may not be executed, or whose working directory is missing, fails its run as well', async () => {
    const file = path.join(machine.outside, 'not-executable');
    fs.writeFileSync(file, '#!/bin/sh\n', { mode: 0o600 });
    expect(await ended(await machine.agent([file]))).toMatchObject({ status: 'failed', exitCode: 126 });
    const run = await ended(await machine.agent(['true'], { workingDirectory: '/no/such/folder' }));
    expect(run).toMatchObject({ status: 'failed', exitCode: 127 });
    expect(run.evidence.detail).toContain('/no/such/folder');
  });

  it('may write far more than is kept: its run succeeds, and the log says what is missing', async () => {
    const run = await ended(
      await node(`
        const block = Buffer.from(('x'.repeat(99) + '\\n').repeat(1000));
        for (let n = 0; n < 200; n++) require('node:fs').writeSync(1, block);
      `),
    );
    expect(run).toMatchObject({ status: 'succeeded', exitCode: 0 });
    const logs = await machine.logs(run);
    const kept = logs.filter(({ stream }) => stream === 'stdout').map(({ text }) => text ?? '');
    const last = logs.at(-1);
    expect(last?.stream).toBe('candor');
    const dropped = Number(
      /^(\d+) bytes dropped here: the limit of 1048576 bytes was reached$/.exec(last?.text ?? '')?.[1],
    );
    expect(Buffer.byteLength(kept.join('')) + dropped).toBe(20_000_000);
    expect(kept.join('')).toMatch(/^(x{99}\n)*x*\n?$/);
  });

  it('may answer more than is kept: the output is cut, and its run says by how much', async () => {
    const run = await ended(
      await node(`require('node:fs').writeFileSync(process.env.CANDOR_OUTPUT, JSON.stringify('y'.repeat(10000)))`),
    );
    expect(run.status).toBe('succeeded');
    expect(run.output).toBe(`"${'y'.repeat(4095)}`);
    expect(run.evidence.detail).toContain('5906 bytes of output were cut off');
  });

  it('gets its input, a fresh folder and its own variables, and nothing of candor dev', async () => {
    const agent = await machine.agent(
      [
        process.execPath,
        '-e',
        `const fs = require('node:fs');
         fs.writeFileSync(process.env.CANDOR_OUTPUT, JSON.stringify({
           env: process.env,
           stdin: fs.readFileSync(0, 'utf8'),
           file: fs.readFileSync(process.env.CANDOR_INPUT, 'utf8'),
           files: fs.readdirSync('.'),
         }));
         fs.writeFileSync('left-behind', '')`,
      ],
      { env: { OWN: 'variable' } },
    );
    await ended(agent);
    const run = await ended(agent, { some: ['input', 1] });
    const seen = run.output as { env: Record<string, string>; stdin: string; file: string; files: string[] };
    expect(JSON.parse(seen.stdin)).toEqual({ some: ['input', 1] });
    expect(seen.file).toBe(seen.stdin);
    expect(seen.files).toEqual([]);
    const known =
      /^(PATH|HOME|LANG|TZ|TMPDIR|USER|OWN|CANDOR_(INPUT|OUTPUT|ARTIFACTS|URL|RUN_TOKEN|RUN_ID|ATTEMPT|VM_ID))$/;
    expect(Object.keys(seen.env).filter((name) => !known.test(name))).toEqual([]);
    expect(seen.env).toMatchObject({
      OWN: 'variable',
      CANDOR_RUN_ID: run.id,
      CANDOR_ATTEMPT: '1',
      CANDOR_VM_ID: run.vmId,
    });
    const values = JSON.stringify(seen.env);
    expect(values).not.toContain(machine.endpoint.token);
    expect(values).not.toContain('do not hand me on');
  });

  it('can read its own run and start runs with its token, and nothing else', async () => {
    const other = await ended(await machine.agent(['true']));
    const agent = await node(`
      const { CANDOR_URL, CANDOR_RUN_TOKEN, CANDOR_RUN_ID, CANDOR_OUTPUT } = process.env;
      const { requests } = JSON.parse(require('node:fs').readFileSync(0, 'utf8'));
      const results = {};
      (async () => {
        for (const request of requests) {
          const [method, path] = request.replace('SELF', CANDOR_RUN_ID).split(' ');
          const response = await fetch(CANDOR_URL + path, {
            method,
            headers: { authorization: 'Bearer ' + CANDOR_RUN_TOKEN, 'content-type': 'application/json' },
            ...(method === 'GET' ? {} : { body: '{}' }),
          });
          const body = await response.json().catch(() => ({}));
          results[request] = [response.status, body.id ?? body.code ?? ''];
        }
        require('node:fs').writeFileSync(CANDOR_OUTPUT, JSON.stringify(results));
      })();
    `);
    const allowed = ['GET /v1/runs/SELF', 'GET /v1/runs/SELF/events', 'GET /v1/runs/SELF/logs'];
    const refused = [
      `GET /v1/runs/${other.id}`,
      `GET /v1/runs/${other.id}/logs`,
      `GET /v1/runs/${other.id}/events`,
      'GET /v1/runs',
      'GET /v1/agents',
      `GET /v1/agents/${agent.id}`,
      'GET /v1/schedules',
      'GET /v1/vms',
      `GET /v1/vms/${other.vmId}`,
      'GET /v1/system',
      'POST /v1/agents',
      `POST /v1/agents/${agent.id}/schedules`,
      'POST /v1/runs/SELF/cancel',
      `POST /v1/runs/${other.id}/cancel`,
      'POST /runner/v1/register',
      'POST /runner/v1/heartbeat',
      'PUT /runner/v1/runs/SELF/attempts/1/logs/0',
      `DELETE /v1/agents/${agent.id}`,
    ];
    const starts = `POST /v1/agents/${agent.id}/runs`;
    const run = await ended(agent, { requests: [...allowed, starts, ...refused] });
    expect(run.status).toBe('succeeded');
    const results = run.output as Record<string, [number, string]>;
    for (const request of allowed) expect([request, results[request]?.[0]]).toEqual([request, 200]);
    expect(results[starts]?.[0]).toBe(202);
    expect(results['GET /v1/runs/SELF']?.[1]).toBe(run.id);
    for (const request of refused) {
      const [status, id] = results[request] ?? [0, ''];
      expect([401, 403, 404], `${request} was answered ${status} ${id}`).toContain(status);
    }
    expect((await machine.getRun(run)).cancel).toBeUndefined();
  });
});
