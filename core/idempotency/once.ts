/**
 * A request with an `Idempotency-Key` has its effect once, however often it is sent, and whoever dies in between.
 *
 * The request's first transaction takes the record along, on the condition that there is none. Whoever loses that is a
 * repeat: it gets the stored answer; or is told to wait while the first one may still be at work; or, where the first one
 * never came to store its answer, reads it again from what stands. A request without an effect leaves no record and may be
 * sent again.
 */
import { CandorError, GuardFailed } from '../errors.ts';
import type { Ports, Store } from '../ports.ts';
import * as keys from '../table/itemKeys.ts';
import { eq, guard, type Item, type Write } from '../table/model.ts';
import { asRow, asValue } from '../table/rows.ts';
import {
  type Answer,
  createdBy,
  type IdempotencyRow,
  type KeyedRequest,
  readRecord,
  recordWrite,
  standing,
} from './record.ts';

/** Thrown through the use case of a request that turns out to be a repeat: it has had no effect, and must not have one. */
export class Repeated extends Error {
  readonly record: IdempotencyRow;

  constructor(record: IdempotencyRow) {
    super('the request has been sent before');
    this.name = 'Repeated';
    this.record = record;
  }
}

export interface Answered {
  readonly answer: Answer;
  /** It was given before, or belongs to an effect of before. */
  readonly replayed: boolean;
}

/** How an answer is made again, from what the effect left. `created` is the id of what was created. */
export type Again = (created: string | undefined) => Promise<Answer>;

/** A record is one item among those of its transaction, and DynamoDB's items end at 400 KB. */
const ANSWER_BYTES_MAX = 200 * 1024;

/**
 * @param work is given the ports to work with. It answers problems as answers, and lets {@link Repeated} through
 * @throws CandorError `idempotency_key_reused`, `idempotency_in_flight`
 */
export async function answerOnce(
  ports: Ports,
  request: KeyedRequest,
  work: (ports: Ports) => Promise<Answer>,
  again: Again,
): Promise<Answered> {
  const known = await readRecord(ports, request);
  if (known !== undefined) return repeat(ports, request, known, again);
  const requestId = ports.ids.writer();
  const once = takingAlong(ports, request, requestId);
  let answer: Answer;
  try {
    answer = await work({ ...ports, store: once.store });
  } catch (error) {
    if (error instanceof Repeated) return repeat(ports, request, error.record, again);
    throw error;
  }
  const other = await otherThan(ports, request, { requestId, sent: once.sent(), answer });
  return other === undefined ? { answer, replayed: false } : repeat(ports, request, other, again);
}

/**
 * Stores the answer. A twin that got ahead may be why this one was refused ("the name is taken") or found nothing to do:
 * then the twin's record is answered, and what was decided here is nobody's answer.
 */
async function otherThan(
  ports: Ports,
  request: KeyedRequest,
  { requestId, sent, answer }: { readonly requestId: string; readonly sent: boolean; readonly answer: Answer },
): Promise<IdempotencyRow | undefined> {
  if (sent) return storeAnswer(ports, request, requestId, answer);
  return answer.status < 500 ? readRecord(ports, request) : undefined;
}

interface TakingAlong {
  readonly store: Store;
  /** Whether a transaction with the record was sent, whatever became of it. */
  readonly sent: () => boolean;
}

/** The store of one request: the first transaction that succeeds takes the record along. */
function takingAlong(ports: Ports, request: KeyedRequest, requestId: string): TakingAlong {
  const { store } = ports;
  let isWritten = false;
  let transactions = 0;
  const transact = async (writes: readonly Write[]): Promise<void> => {
    if (isWritten || writes.length === 0) return store.transact(writes);
    const transaction = ++transactions;
    const record = recordWrite(ports, request, { requestId, transaction, created: createdBy(writes) });
    try {
      await store.transact([...writes, record]);
      isWritten = true;
    } catch (error) {
      if (!(error instanceof GuardFailed) || error.guard !== 'idempotency.once') throw error;
      const found = asRow<IdempotencyRow>(error.old as Item | undefined);
      if (found === undefined) throw error;
      if (found.requestId !== requestId) throw new Repeated(found);
      // Our own record, whose answer was lost: of this very transaction, which is done then, or of an earlier one.
      isWritten = true;
      if (found.transaction !== transaction) await store.transact(writes);
    }
  };
  return {
    store: {
      get: (key) => store.get(key),
      getMany: (wanted) => store.getMany(wanted),
      query: (range) => store.query(range),
      queryIndex: (range) => store.queryIndex(range),
      transact,
    },
    sent: () => transactions > 0,
  };
}

async function repeat(ports: Ports, request: KeyedRequest, record: IdempotencyRow, again: Again): Promise<Answered> {
  if (record.payload !== request.payload)
    throw new CandorError(
      'idempotency_key_reused',
      'This Idempotency-Key was sent before, with another request or other rights.',
      {
        remedy: 'Send a new key with a new request; send the very same request with the same key.',
      },
    );
  if (record.answer !== undefined) return { answer: record.answer, replayed: true };
  if (ports.time.now() < record.busyUntil)
    throw new CandorError('idempotency_in_flight', 'The first request with this Idempotency-Key is still at work.', {
      remedy: 'Send it again with the same key in a moment: then it gets the answer of the first one.',
      facts: { retryAfterSeconds: 1 },
    });
  const answer = await again(record.created);
  const other = await storeAnswer(ports, request, record.requestId, answer);
  return { answer: other?.answer ?? answer, replayed: true };
}

/**
 * Whoever is first says what the answer is. What passes (a 503) is no answer to keep, a secret must not be kept, and what is
 * too large is read again each time: then the record is left for the next repeat to deal with, at once.
 * @returns the record, where it is another request's or has an answer already
 */
async function storeAnswer(
  ports: Ports,
  { scope, secret }: KeyedRequest,
  requestId: string,
  answer: Answer,
): Promise<IdempotencyRow | undefined> {
  const isSecret = secret === true && answer.status < 400;
  const isKept = !isSecret && answer.status < 500 && new TextEncoder().encode(answer.body).length <= ANSWER_BYTES_MAX;
  const set = isKept ? { answer: asValue(answer) } : { busyUntil: 0 };
  const guards = [
    guard('idempotency.ours', eq('requestId', requestId)),
    guard('idempotency.firstAnswer', { op: 'hasNot', attribute: 'answer' }),
  ];
  try {
    await ports.store.transact([{ kind: 'update', key: keys.idempotency(scope), set, guards }]);
  } catch (error) {
    if (error instanceof GuardFailed) return standing(error.old as Item | undefined, ports.time.now());
    // The effect stands, and the caller hears of it now; a repeat reads it again once the request's time is over.
    ports.log.warn('idempotency.answer_not_stored', { error: String(error) });
  }
  return undefined;
}
