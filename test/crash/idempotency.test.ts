/**
 * One request under one Idempotency-Key, sent fifty times at once to a real `candor dev`, which dies by `kill -9` at each
 * boundary between two side effects of the request: when it is back, there is one effect, and all fifty hear the same.
 */
import fs from 'node:fs';
import path from 'node:path';
import { expect, it } from 'vitest';
import type { AgentBody } from '../../core/contract/agents.ts';
import type { ListBody } from '../../core/contract/common.ts';
import type { RunBody } from '../../core/contract/runs.ts';
import type { ScheduleBody } from '../../core/contract/schedules.ts';
import { Machine, sleep, temporaryFolder, until } from '../e2e/support.ts';
import { HITS_FOLDER, KILLS_FOLDER, type Order, type Phase, PLAN_FILE } from './plan.ts';

const HOOK = new URL('./hook.ts', import.meta.url).href;
const TIMES = 50;
/** After one side effect is before the next one: so only the first is died before. */
const phasesOf = (point: string, index: number): readonly Phase[] => [
  ...(index === 0 ? (['before'] as const) : []),
  ...(point.startsWith('answer') ? [] : (['during'] as const)),
  'after',
];

interface Heard {
  readonly status: number;
  readonly text: string;
  readonly location: string | null;
  readonly etag: string | null;
}

class CrashingMachine extends Machine {
  readonly #folder = temporaryFolder('file');
  #orders = 0;

  constructor() {
    super('file');
    for (const name of [HITS_FOLDER, KILLS_FOLDER]) fs.mkdirSync(path.join(this.#folder, name));
    this.order([]);
  }

  startHooked() {
    const environment = { CANDOR_CRASH: this.#folder, NODE_OPTIONS: `--import=${HOOK}` };
    // No VM: what becomes of the runs is no matter here.
    return this.start({ environment, args: ['--fleet', 'none'], config: { requestSecondsMax: 1 } });
  }

  order(orders: readonly Order[]): void {
    const file = path.join(this.#folder, PLAN_FILE);
    fs.writeFileSync(`${file}.new`, JSON.stringify({ dataDir: this.dataDir, orders }));
    fs.renameSync(`${file}.new`, file);
  }

  /** Orders a death, and starts `candor dev` again after it. Resolves when it is back. */
  async dieAt(point: string, phase: Phase): Promise<() => Promise<void>> {
    const id = `order-${++this.#orders}`;
    this.order([{ id, program: 'control', point, phase, skip: 0, also: [] }]);
    return async () => {
      expect(await this.dev.exited, `${phase} ${point}`).toBe('SIGKILL');
      expect(fs.existsSync(path.join(this.#folder, KILLS_FOLDER, id))).toBe(true);
      this.order([]);
      await this.startHooked();
    };
  }

  /** Sends it until it is answered for good. */
  async persist(url: string, key: string, body: object): Promise<Heard> {
    return until(`an answer to POST ${url}`, async () => {
      const { url: base, token } = this.endpoint;
      const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json', 'idempotency-key': key };
      const response = await fetch(base + url, { method: 'POST', headers, body: JSON.stringify(body) }).catch(
        () => undefined,
      );
      const text = await response?.text().catch(() => undefined);
      if (response === undefined || text === undefined || [409, 503].includes(response.status)) {
        // Fifty that ask without a pause would take the time that the server needs to come back.
        await sleep(200);
        return undefined;
      }
      const [location, etag] = ['location', 'etag'].map((name) => response.headers.get(name)) as [string, string];
      return { status: response.status, text, location, etag };
    });
  }
}

interface Operation {
  readonly name: string;
  /** What the request does besides itself, in order. */
  readonly points: readonly string[];
  readonly prepare: (
    machine: Machine,
    label: string,
  ) => Promise<{
    readonly url: string;
    readonly body: object;
    /** How many of what it makes there are. */
    readonly effects: () => Promise<number>;
  }>;
}

const STORE_ANSWER = 'transact idempotency.ours + idempotency.firstAnswer';
const EVERY_DAY = { cron: '0 9 * * *', timezone: 'UTC' };

const OPERATIONS: readonly Operation[] = [
  {
    name: 'createAgent',
    points: ['transact agent.created', STORE_ANSWER, 'answer POST /v1/agents'],
    prepare: async (machine, name) => ({
      url: '/v1/agents',
      body: { name, command: ['/bin/true'] },
      effects: async () => {
        const { items } = await machine.get<ListBody<AgentBody>>('/v1/agents?limit=100');
        return items.filter((agent) => agent.name === name).length;
      },
    }),
  },
  {
    name: 'createSchedule',
    points: [
      'transact schedule.created',
      'transact clock.scheduleUnchanged + clock.liveSetUnchanged',
      STORE_ANSWER,
      'answer POST /v1/agents/:id/schedules',
    ],
    prepare: async (machine, name) => {
      const agent = await machine.agent(['/bin/true']);
      const url = `/v1/agents/${agent.id}/schedules`;
      return {
        url,
        body: { name, cadence: EVERY_DAY },
        effects: async () => (await machine.get<ListBody<ScheduleBody>>(url)).items.length,
      };
    },
  },
  {
    name: 'createRun',
    points: ['transact run.queued', 'workflow.start', STORE_ANSWER, 'answer POST /v1/agents/:id/runs'],
    prepare: async (machine) => {
      const agent = await machine.agent(['/bin/true']);
      return {
        url: `/v1/agents/${agent.id}/runs`,
        body: { input: 'x' },
        effects: async () => (await machine.get<ListBody<RunBody>>(`/v1/runs?agentId=${agent.id}`)).items.length,
      };
    },
  },
];

it.each(OPERATIONS)(
  '$name: one effect and one answer, at whichever point it dies',
  { timeout: 600_000 },
  async (operation) => {
    const machine = new CrashingMachine();
    await machine.startHooked();
    const deaths = operation.points.flatMap((point, index) =>
      phasesOf(point, index).map((phase) => ({ point, phase })),
    );
    for (const [index, death] of [undefined, ...deaths].entries()) {
      const label = `${operation.name} ${death === undefined ? 'without a death' : `${death.phase} ${death.point}`}`;
      const { url, body, effects } = await operation.prepare(machine, label);
      const back = death === undefined ? undefined : await machine.dieAt(death.point, death.phase);
      const [heard] = await Promise.all([
        Promise.all(Array.from({ length: TIMES }, () => machine.persist(url, `key-${index}`, body))),
        back?.(),
      ]);
      expect(new Set(heard.map((each) => JSON.stringify(each))).size, label).toBe(1);
      expect(heard[0]?.status, `${label}: ${heard[0]?.text}`).toBe(operation.name === 'createRun' ? 202 : 201);
      expect(await machine.persist(url, `key-${index}`, body), label).toEqual(heard[0]);
      expect(await effects(), label).toBe(1);
    }
  },
);
