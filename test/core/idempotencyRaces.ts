/** Interleavings around keyed requests, and around what expires; played in `guards.test.ts`. */
import { GuardFailed, StoreUnavailable } from '../../core/errors.ts';
import { answerOnce } from '../../core/idempotency/once.ts';
import { type Answer, scopeHash } from '../../core/idempotency/record.ts';
import type { Ports } from '../../core/ports.ts';
import { createRun, listRuns } from '../../core/runs/service.ts';
import * as keys from '../../core/table/itemKeys.ts';
import { absent, guard } from '../../core/table/model.ts';
import type { World } from '../support/world.ts';
import { type Race, tolerant } from './race.ts';
import { interleaved, page, storeWith } from './support.ts';

const scope = scopeHash({ tenantId: 'local', caller: 'me', operation: 'createRun', path: '/', key: 'key' });
const request = { tenantId: 'local', scope, payload: 'payload' };
const saying = (body: string): Answer => ({ status: 202, headers: {}, body });

/** A keyed request that makes a run. */
async function keyed(world: World) {
  const agent = await world.agent();
  const work = async (ports: Ports) => saying((await createRun(ports, world.caller, agent.id, null)).id);
  return (ports: Ports = world.ports) =>
    answerOnce(ports, request, work, async (created) => saying(`again ${created}`));
}

const record = (world: World) => world.ports.store.get(keys.idempotency(scope));

/** Ports that die after the first transaction: nothing is stored any more. */
const dying = (world: World): Ports => {
  let transactions = 0;
  const store = storeWith(world.ports.store, {
    transact: async (writes) => {
      if (++transactions > 1) throw new StoreUnavailable();
      await world.ports.store.transact(writes);
    },
  });
  return { ...world.ports, store };
};

export const IDEMPOTENCY_RACES: readonly Race[] = [
  {
    without: ['idempotency.once'],
    when: 'its twin gets ahead between a request’s look for a record and its write',
    breaks: 'one request has two effects',
    held: async (world) => {
      const send = await keyed(world);
      await send(interleaved(world, () => send()));
      return (await listRuns(world.ports, world.caller, {}, page)).items.length === 1;
    },
  },
  {
    without: ['idempotency.firstAnswer'],
    when: 'the answer is read again for a repeat before the slow first request stores its own',
    breaks: 'a repeat is answered otherwise than the one before it',
    held: async (world) => {
      const send = await keyed(world);
      let repeated: string | undefined;
      await send(
        interleaved(
          world,
          async () => {
            world.now += world.ports.config.requestSecondsMax * 1000;
            repeated = (await send()).answer.body;
          },
          // The first write that touches the record is the one with the effect: the answer's comes second.
          undefined,
          (writes) => writes.length === 1 && writes[0]?.kind === 'update' && writes[0].set?.answer !== undefined,
        ),
      );
      return (await send()).answer.body === repeated;
    },
  },
  {
    without: ['idempotency.ours'],
    when: 'a request is refused, and its twin has its effect before the refusal is stored, and dies',
    breaks: 'a repeat is told that what has happened was refused',
    held: async (world) => {
      const send = await keyed(world);
      const refused = async (ports: Ports): Promise<Answer> => {
        const item = { pk: 'PRN#usr_admin', sk: 'META' };
        await tolerant(
          ports.store.transact([{ kind: 'put', item, guards: [guard('test.free', absent)] }]),
          (error) => error instanceof GuardFailed,
        );
        await send(dying(world));
        return { status: 409, headers: {}, body: 'taken' };
      };
      const lose = answerOnce(world.ports, request, refused, async () => saying('again'));
      await tolerant(lose);
      return (await record(world))?.answer === undefined;
    },
  },
];
