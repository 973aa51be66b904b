/**
 * One try of one delivery: claimed in the table before anything leaves, told of after. Whoever dies in between leaves a claim
 * that runs out: then it is sent again, under the same id. So deliveries are at least once, and receivers tell repeats by it.
 */
import { GuardFailed } from '../errors.ts';
import type { Ports, WebhookAnswer } from '../ports.ts';
import { garbageAttributes } from '../table/garbage.ts';
import * as keys from '../table/itemKeys.ts';
import { checkPartition, shardOf } from '../table/keys.ts';
import { asRead, eq, type Guard, guard } from '../table/model.ts';
import { asRow, asValue, asValues } from '../table/rows.ts';
import { fareIll, fareWell, type Tried } from './health.ts';
import type { AttemptRecord, DeliveryRow, WebhookRow } from './model.ts';
import { ATTEMPTS_MAX, nextTry } from './retry.ts';
import { openSecrets } from './secrets.ts';
import { signatureHeaders } from './sign.ts';

export type Sent = 'delivered' | 'failed' | 'cancelled' | 'held' | 'nothing_to_do';

/** Beyond the time of the try itself, for what is written before and after it. */
const CLAIM_MARGIN_MS = 10_000;
const ATTEMPTS_KEPT = 10;
/** The specification's word of an endpoint that wants no more. */
const GONE = 410;
const DAY_MS = 86_400_000;

export async function sendDelivery(ports: Ports, deliveryId: string): Promise<Sent> {
  const delivery = asRow<DeliveryRow>(await ports.store.get(keys.delivery(deliveryId)));
  const now = ports.time.now();
  if (delivery?.status !== 'pending' || (delivery.checkAt ?? now) > now) return 'nothing_to_do';
  const webhook = asRow<WebhookRow>(await ports.store.get(keys.webhook(delivery.webhookId)));
  if (webhook?.status !== 'active') return cancel(ports, delivery, webhook?.status ?? 'deleted');
  // One that somebody has asked for again since is meant as it is.
  if (delivery.triedBefore === undefined && delivery.createdAt < (webhook.offAt ?? 0))
    return cancel(ports, delivery, 'disabled');
  if (delivery.urgent !== true && (webhook.holdUntil ?? 0) > now)
    return hold(ports, delivery, webhook.holdUntil ?? now);
  // Where every try ends before it is told of, there is an end all the same.
  const tried = delivery.attemptCount - (delivery.triedBefore ?? 0);
  if (tried >= ATTEMPTS_MAX) return giveUp(ports, delivery, tried);
  const claimed = await claim(ports, delivery, now);
  if (claimed === undefined) return 'nothing_to_do';
  return tell(ports, claimed, webhook, await post(ports, webhook, delivery, now));
}

interface Posted {
  readonly answer: WebhookAnswer;
  /** It never left: that says nothing of the endpoint. */
  readonly unsent?: true;
}

async function post(ports: Ports, webhook: WebhookRow, delivery: DeliveryRow, at: number): Promise<Posted> {
  const { id, payload } = delivery;
  let secrets: readonly string[];
  try {
    secrets = await openSecrets(ports, webhook, at);
  } catch (error) {
    const detail = `not sent, as its secret cannot be opened: ${String(error)}`;
    return { answer: { kind: 'failed', detail, tookMs: 0 }, unsent: true };
  }
  const answer = await ports.webhooks.send({
    url: webhook.url,
    headers: { 'content-type': 'application/json', ...signatureHeaders(secrets, { id, at, payload }) },
    body: payload,
    timeoutMs: ports.config.webhookTimeoutSeconds * 1000,
  });
  return { answer };
}

/** Undefined where somebody else was faster. */
async function claim(ports: Ports, delivery: DeliveryRow, now: number): Promise<DeliveryRow | undefined> {
  const attemptCount = delivery.attemptCount + 1;
  const set = {
    attemptCount,
    claimedAt: now,
    checkAt: now + ports.config.webhookTimeoutSeconds * 1000 + CLAIM_MARGIN_MS,
    attempts: withUnknown(delivery),
  };
  const done = await write(ports, delivery, set);
  return done ? { ...delivery, ...set } : undefined;
}

/** A claim that was never told of: the request may have been taken, or never have left. */
function withUnknown({ attempts, attemptCount, claimedAt }: DeliveryRow): readonly AttemptRecord[] {
  if (claimedAt === undefined) return attempts;
  const detail = 'it was begun, and whoever began it never said how it ended';
  return kept([...attempts, { number: attemptCount, at: claimedAt, outcome: 'unknown', detail }]);
}

const kept = (attempts: readonly AttemptRecord[]): readonly AttemptRecord[] => attempts.slice(-ATTEMPTS_KEPT);

/** Only whoever claimed this very try writes how it ended. Answers whether that is so. */
async function write(
  { store }: Pick<Ports, 'store'>,
  delivery: DeliveryRow,
  set: Readonly<Record<string, unknown>>,
  more: readonly Guard[] = [],
): Promise<boolean> {
  const guards = [
    ...more,
    guard('webhook.sameTry', eq('attemptCount', delivery.attemptCount)),
    // Whoever has asked for it again meanwhile has not raised the number yet.
    guard('webhook.sameRound', asRead('triedBefore', delivery.triedBefore)),
    guard('webhook.stillPending', eq('status', 'pending')),
  ];
  try {
    await store.transact([{ kind: 'update', key: keys.delivery(delivery.id), set: asValues(set), guards }]);
    return true;
  } catch (error) {
    if (error instanceof GuardFailed) return false;
    throw error;
  }
}

async function tell(ports: Ports, delivery: DeliveryRow, tried: Tried, { answer, unsent }: Posted): Promise<Sent> {
  const { metrics, time } = ports;
  const now = time.now();
  const record = recordOf(delivery, answer);
  const attempts = kept([...delivery.attempts, record]);
  metrics.put('WebhookAttempts', 1, { outcome: record.outcome });
  if (record.outcome === 'delivered') {
    await write(ports, delivery, { attempts: asValue(attempts), ...settled(ports, delivery, 'delivered', now) });
    await fareWell(ports, tried);
    return 'delivered';
  }
  const failed = delivery.attemptCount - (delivery.triedBefore ?? 0);
  const asked = answer.kind === 'answered' ? answer.retryAfterSeconds : undefined;
  const spread = shardOf(`${delivery.id} ${failed}`, 1000) / 1000;
  const at = nextTry(now, failed, { askedSeconds: asked, spread });
  const outcome =
    at === undefined
      ? { reason: `given up after ${failed} tries: ${record.detail}`, ...settled(ports, delivery, 'failed', now) }
      : { claimedAt: undefined, urgent: undefined, checkAt: at };
  if (at === undefined) metrics.put('WebhooksGivenUp', 1);
  await write(ports, delivery, { attempts: asValue(attempts), ...outcome });
  if (unsent !== true) await fareIll(ports, tried, record.status === GONE ? 'it answered 410: it is gone' : undefined);
  return 'failed';
}

function recordOf({ attemptCount: number, claimedAt: at = 0 }: DeliveryRow, answer: WebhookAnswer): AttemptRecord {
  if (answer.kind === 'not_allowed') return { number, at, outcome: 'not_allowed', detail: answer.detail };
  const { tookMs } = answer;
  if (answer.kind !== 'answered') return { number, at, outcome: answer.kind, tookMs, detail: answer.detail };
  const { status } = answer;
  const taken = status >= 200 && status < 300;
  const redirect = status >= 300 && status < 400 ? ', and redirects are not followed' : '';
  return {
    number,
    at,
    outcome: taken ? 'delivered' : 'refused',
    status,
    tookMs,
    detail: `it answered ${status}${redirect}`,
  };
}

/** At rest: out of the index of what is due, and garbage some time later. */
function settled({ config }: Ports, { id }: DeliveryRow, status: DeliveryRow['status'], now: number) {
  return {
    status,
    settledAt: now,
    claimedAt: undefined,
    urgent: undefined,
    checkIn: undefined,
    checkAt: undefined,
    ...garbageAttributes(config, id, now + config.webhookRetentionDays * DAY_MS),
  };
}

async function giveUp(ports: Ports, delivery: DeliveryRow, tried: number): Promise<Sent> {
  const reason = `given up after ${tried} tries, the last of which was never told of`;
  const attempts = asValue(withUnknown(delivery));
  await write(ports, delivery, { reason, attempts, ...settled(ports, delivery, 'failed', ports.time.now()) });
  ports.metrics.put('WebhooksGivenUp', 1);
  return 'failed';
}

async function cancel(ports: Ports, delivery: DeliveryRow, why: WebhookRow['status']): Promise<Sent> {
  const reason = `the webhook ${why === 'disabled' ? 'was switched off' : `is ${why}`}`;
  // Who asks for it again sets its time anew, also where no try came between two such requests.
  const due = guard('webhook.stillDue', asRead('checkAt', delivery.checkAt));
  await write(ports, delivery, { reason, ...settled(ports, delivery, 'cancelled', ports.time.now()) }, [due]);
  return 'cancelled';
}

/**
 * Looked at again when its endpoint is: spread a little, so that not all of them come at once. Only what is not urgent waits,
 * so whoever asks for it meanwhile begins a new round.
 */
async function hold(ports: Ports, delivery: DeliveryRow, until: number): Promise<Sent> {
  await write(ports, delivery, { checkAt: until + shardOf(delivery.id, 1000) });
  return 'held';
}

/** What a delivery is when it is to be sent anew: due now, with a day of tries of its own. */
export const sentAnew = ({ config }: Pick<Ports, 'config'>, delivery: DeliveryRow, now: number) => ({
  status: 'pending',
  reason: undefined,
  settledAt: undefined,
  urgent: true,
  triedBefore: delivery.attemptCount,
  expiresAt: undefined,
  ttl: undefined,
  checkIn: checkPartition('DLV', shardOf(delivery.id, config.checkShards)),
  checkAt: now,
});
