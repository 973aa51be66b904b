/** What a scenario has at hand: the deployed API, the proxy that lets things go wrong, the hosts, and the emulator's own view. */

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { SchedulerClient } from '@aws-sdk/client-scheduler';
import { GetSecretValueCommand, SecretsManagerClient } from '@aws-sdk/client-secrets-manager';
import { SFNClient } from '@aws-sdk/client-sfn';
import type { AgentBody, AgentCreateInput } from '../../core/contract/agents.ts';
import type { Json, ListBody } from '../../core/contract/common.ts';
import {
  type EventBody,
  isTerminal,
  type LogPageBody,
  type RunBody,
  type RunStatus,
  type VmBody,
} from '../../core/contract/runs.ts';
import type { ScheduleBody } from '../../core/contract/schedules.ts';
import type { Orders } from '../e2e/fixtures/work.ts';
import { type Cdk, INSTALLATION, type Outputs } from './cdk.ts';
import { functionLogs } from './emulator/logs.ts';
import { type Emulator, REGION } from './emulator/start.ts';
import type { Ec2Host } from './host/host.ts';
import type { AwsProxy } from './proxy/proxy.ts';

const WORK = fileURLToPath(new URL('../e2e/fixtures/work.ts', import.meta.url));
const CLI = fileURLToPath(new URL('../../cli/candor.mjs', import.meta.url));
const COMMAND_LIMIT_MS = 60_000;
const POLL_MS = 250;

/** Waits until the check answers something. The limit is generous: it only says when to give up. */
export async function until<T>(what: string, check: () => T | Promise<T>, limitSeconds = 180) {
  const giveUpAt = performance.now() + limitSeconds * 1000;
  for (;;) {
    const value = await check();
    if (value !== undefined && value !== false && value !== null) return value as NonNullable<Exclude<T, false>>;
    if (performance.now() > giveUpAt) throw new Error(`waited in vain for ${limitSeconds} s: ${what}`);
    await sleep(POLL_MS);
  }
}

/** The API's address in a form that needs no name server: names under `.localhost` are not resolved everywhere. */
export function reachableUrl(emulatorUrl: string, apiUrl: string): string {
  const id = /^https?:\/\/([0-9a-z]+)\.execute-api\./.exec(apiUrl)?.[1];
  if (id === undefined) throw new Error(`${apiUrl} is no address of API Gateway`);
  return `${emulatorUrl}/_aws/execute-api/${id}/$default`;
}

export interface WorldParts {
  readonly emulator: Emulator;
  readonly proxy: AwsProxy;
  readonly host: Ec2Host;
  readonly cdk: Cdk;
  readonly outputs: Outputs;
  /** For witnesses and gates of the agents' work. */
  readonly folder: string;
}

export interface Answer<T> {
  readonly status: number;
  readonly headers: Headers;
  readonly body: T;
}

export class World {
  readonly proxy: AwsProxy;
  readonly host: Ec2Host;
  readonly cdk: Cdk;
  /** With it a program of an operator talks to the emulator. */
  readonly awsEnvironment: Readonly<Record<string, string>>;
  /** These see the emulator as it is: past the proxy, in no count. */
  readonly scheduler: SchedulerClient;
  readonly sfn: SFNClient;
  readonly #secrets: SecretsManagerClient;
  readonly #emulatorUrl: string;
  readonly #url: string;
  readonly #folder: string;
  readonly #adminSecret: string;
  #token = '';
  #count = 0;

  constructor({ emulator, proxy, host, cdk, outputs, folder }: WorldParts) {
    const credentials = { accessKeyId: 'test', secretAccessKey: 'test' };
    const options = { endpoint: emulator.url, region: REGION, credentials };
    this.proxy = proxy;
    this.host = host;
    this.cdk = cdk;
    this.awsEnvironment = emulator.environment;
    this.scheduler = new SchedulerClient(options);
    this.sfn = new SFNClient(options);
    this.#secrets = new SecretsManagerClient(options);
    this.#emulatorUrl = emulator.url;
    this.#url = reachableUrl(emulator.url, outputs[`${INSTALLATION}-control`]?.ApiUrl ?? '');
    this.#adminSecret = outputs[`${INSTALLATION}-data`]?.AdminTokenSecret ?? '';
    this.#folder = folder;
    fs.mkdirSync(folder, { recursive: true });
  }

  /** As docs/deploy.md says it: the administrator's token is in Secrets Manager. */
  async signIn(): Promise<void> {
    const { SecretString } = await this.#secrets.send(new GetSecretValueCommand({ SecretId: this.#adminSecret }));
    assert.ok(SecretString, 'the administrator has a token');
    this.#token = SecretString;
  }

  close(): void {
    for (const client of [this.scheduler, this.sfn, this.#secrets]) client.destroy();
  }

  async request<T>(
    method: string,
    url: string,
    options: {
      readonly body?: unknown;
      readonly headers?: Readonly<Record<string, string>>;
      readonly token?: string;
    } = {},
  ): Promise<Answer<T>> {
    const { body, headers = {}, token = this.#token } = options;
    const response = await fetch(`${this.#url}${url}`, {
      method,
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json', ...headers },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    const parsed = text === '' ? undefined : (JSON.parse(text) as unknown);
    return { status: response.status, headers: response.headers, body: parsed as T };
  }

  /** What the API leads to. The credential is for the API alone. */
  async download(url: string): Promise<Buffer> {
    const headers = { authorization: `Bearer ${this.#token}` };
    const here = await fetch(`${this.#url}${url}`, { headers, redirect: 'manual' });
    assert.equal(here.status, 307, `GET ${url}: ${here.status === 307 ? '' : await here.text()}`);
    const there = await fetch(here.headers.get('location') ?? '');
    assert.equal(there.status, 200, `where ${url} leads`);
    return Buffer.from(await there.arrayBuffer());
  }

  async get<T>(url: string): Promise<T> {
    const { status, body } = await this.request<T>('GET', url);
    assert.equal(status, 200, `GET ${url}: ${JSON.stringify(body)}`);
    return body;
  }

  async post<T>(url: string, body: unknown = {}): Promise<T> {
    const answer = await this.request<T>('POST', url, { body });
    assert.ok(answer.status < 300, `POST ${url}: ${answer.status} ${JSON.stringify(answer.body)}`);
    return answer.body;
  }

  /** The `candor` command, as an operator runs it against this deployment. Answers its standard output. */
  async cli(...args: readonly string[]): Promise<string> {
    const { stdout } = await promisify(execFile)(process.execPath, [CLI, ...args], {
      cwd: this.#folder,
      timeout: COMMAND_LIMIT_MS,
      env: { PATH: process.env.PATH ?? '', CANDOR_URL: this.#url, CANDOR_TOKEN: this.#token, NO_COLOR: '1' },
    });
    return stdout;
  }

  /** What the watchdog says that it has put right: the rules' names, for this run or VM. */
  async recoveries({ id }: { readonly id: string }): Promise<readonly string[]> {
    const lines = (await functionLogs(this.#emulatorUrl)).split('\n').filter((line) => line.includes(id));
    return lines.flatMap((line) => {
      if (!line.includes('watchdog.recovered')) return [];
      const { rule, subject } = JSON.parse(line.slice(line.indexOf('{'))) as { rule: string; subject: string };
      return subject === id ? [rule] : [];
    });
  }

  /** A path of the test's own, outside of Candor's reach; nothing is there yet. */
  file(name: string): string {
    return path.join(this.#folder, `${++this.#count}-${name}`);
  }

  /** A PATCH or a DELETE, on whatever version stands. */
  async change<T>(method: 'PATCH' | 'DELETE', url: string, body?: unknown): Promise<T> {
    const answer = await this.request<T>(method, url, { body, headers: { 'if-match': '*' } });
    assert.ok(answer.status < 300, `${method} ${url}: ${answer.status} ${JSON.stringify(answer.body)}`);
    return answer.body;
  }

  /** An agent that does what its runs' inputs order. */
  worker(more: Partial<AgentCreateInput> = {}): Promise<AgentBody> {
    const command = [process.execPath, '--disable-warning=ExperimentalWarning', WORK];
    return this.post<AgentBody>('/v1/agents', { name: `agent ${++this.#count}`, command, ...more });
  }

  /** Orders for one run, with a witness of its own and, if wanted, a gate that is still closed. */
  orders({ gated = false, ...rest }: Omit<Orders, 'witness' | 'gate'> & { readonly gated?: boolean } = {}): Orders {
    const file = this.file('work');
    return { ...rest, witness: `${file}.witness`, ...(gated && { gate: `${file}.gate` }) };
  }

  run(agent: { readonly id: string }, input: unknown, overrides?: unknown): Promise<RunBody> {
    const body = { input: input as Json, ...(overrides !== undefined && { overrides }) };
    return this.post<RunBody>(`/v1/agents/${agent.id}/runs`, body);
  }

  schedule(agent: { readonly id: string }, body: Readonly<Record<string, unknown>>): Promise<ScheduleBody> {
    return this.post<ScheduleBody>(`/v1/agents/${agent.id}/schedules`, { name: `schedule ${++this.#count}`, ...body });
  }

  getRun(run: { readonly id: string }): Promise<RunBody> {
    return this.get<RunBody>(`/v1/runs/${run.id}`);
  }

  /** Waits until the run has this status; an end in another one is an error at once. */
  reaches(run: { readonly id: string }, status: RunStatus, limitSeconds?: number): Promise<RunBody> {
    return until(
      `${run.id} ${status}`,
      async () => {
        const body = await this.getRun(run);
        if (body.status === status) return body;
        if (isTerminal(body.status)) throw new Error(`${run.id} has ended: ${JSON.stringify(body)}`);
        return undefined;
      },
      limitSeconds,
    );
  }

  ended(run: { readonly id: string }, limitSeconds?: number): Promise<RunBody> {
    return until(
      `the end of ${run.id}`,
      async () => {
        const body = await this.getRun(run);
        return isTerminal(body.status) && body;
      },
      limitSeconds,
    );
  }

  async events(run: { readonly id: string }): Promise<readonly EventBody[]> {
    return (await this.get<ListBody<EventBody>>(`/v1/runs/${run.id}/events?limit=100`)).items;
  }

  async stdout(run: { readonly id: string }): Promise<string> {
    let text = '';
    let cursor = '0';
    await until(`the whole log of ${run.id}`, async () => {
      const page = await this.get<LogPageBody>(`/v1/runs/${run.id}/logs?cursor=${cursor}`);
      for (const record of page.items) if (record.stream === 'stdout') text += record.text ?? '';
      cursor = page.nextCursor;
      return page.complete;
    });
    return text;
  }

  /** The run's VM is terminated, says the API; its instance, says EC2; and no process of it is left. */
  async vmGone(run: { readonly vmId?: string | undefined }, limitSeconds?: number): Promise<VmBody> {
    const { vmId } = run;
    assert.ok(vmId, 'the run had a VM');
    const vm = await until(
      `the end of ${vmId}`,
      async () => {
        const body = await this.get<VmBody>(`/v1/vms/${vmId}`);
        return body.status === 'terminated' && body;
      },
      limitSeconds,
    );
    await until(`the instances of ${vmId} are terminated`, () => this.host.ofVm(vmId).every((each) => each.terminated));
    assert.deepEqual(
      this.host.ofVm(vmId).flatMap(({ machine }) => machine?.processes() ?? []),
      [],
    );
    return vm;
  }

  /** A run's events have no gap, exactly one of them is an end, and it is the one that the run shows. */
  async endedOnce(run: { readonly id: string }): Promise<RunBody> {
    const body = await this.getRun(run);
    const events = await this.events(run);
    assert.deepEqual(
      events.map(({ sequence }) => sequence),
      events.map((_, index) => index + 1),
    );
    const ends = events.filter(({ type }) => isTerminal(type.replace(/^run\./, '') as RunStatus));
    assert.deepEqual(
      ends.map(({ type }) => type),
      [`run.${body.status}`],
    );
    return body;
  }
}

/** What the work itself has witnessed, without the pid. */
export function witnessed({ witness }: Orders): readonly string[] {
  if (!fs.existsSync(witness)) return [];
  const lines = fs.readFileSync(witness, 'utf8').split('\n');
  return lines.filter((line) => line !== '').map((line) => (line.startsWith('start ') ? 'start' : line));
}

/** Lets work that waits at its gate go on. */
export function open({ gate }: Orders): void {
  if (gate !== undefined) fs.writeFileSync(gate, '');
}
