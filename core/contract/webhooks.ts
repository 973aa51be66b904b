/** Webhooks: who is told of a tenant's events, by https and signed after the Standard Webhooks specification. */
import * as z from 'zod';
import { Duration, PageQuery } from './common.ts';

export const WEBHOOK_SUBJECTS = ['run', 'schedule', 'agent', 'vm', 'webhook'] as const;
const FILTERS_MAX = 50;
const URL_MAX = 2048;
const HOUR = 3600;

const Url = z
  .string()
  .max(URL_MAX, `must have at most ${URL_MAX} characters`)
  .refine((text) => URL.canParse(text), 'must be an absolute URL, such as https://example.com/hooks');

const Description = z
  .string()
  .trim()
  .max(500, 'must have at most 500 characters')
  .regex(/^[^\p{Cc}]*$/u, 'must not contain control characters');

/** `*`, everything about one kind of thing (`run.*`), or one type (`run.failed`). */
const EventFilter = z
  .string()
  .regex(
    /^(\*|(run|schedule|agent|vm|webhook)\.(\*|[a-z][a-z_]{0,63})|watchdog\.\*)$/,
    `must be *, or a type of event such as run.failed, or all of a kind, such as run.* (kinds: ${WEBHOOK_SUBJECTS.join(', ')}; watchdog.* is what was put right)`,
  );
const EventFilters = z
  .array(EventFilter)
  .min(1, 'must name at least one; * is all')
  .max(FILTERS_MAX, `must have at most ${FILTERS_MAX} entries`);

export const WebhookCreate = z.strictObject({
  url: Url,
  description: Description.optional(),
  events: EventFilters.default(['*']),
});
export type WebhookCreate = z.output<typeof WebhookCreate>;

export const WebhookPatch = z
  .strictObject({
    url: Url.optional(),
    /** `null` takes it away. */
    description: Description.nullable().optional(),
    /** Replaces all of them. */
    events: EventFilters.optional(),
    /** Nothing is sent to a disabled one, and what happens meanwhile is not sent later. */
    status: z.enum(['active', 'disabled'], 'must be active or disabled').optional(),
  })
  .refine((patch) => Object.keys(patch).length > 0, 'must name at least one field to change');
export type WebhookPatch = z.output<typeof WebhookPatch>;

export const SECRET_OVERLAP_DEFAULT_SECONDS = 24 * HOUR;

export const SecretRotate = z.strictObject({
  /** For so long deliveries carry the old secret's signature too. */
  overlap: Duration({ minSeconds: 0, maxSeconds: 7 * 24 * HOUR }).default(SECRET_OVERLAP_DEFAULT_SECONDS),
});
export type SecretRotate = z.output<typeof SecretRotate>;

export const DELIVERY_STATUSES = ['pending', 'delivered', 'failed', 'cancelled'] as const;
export type DeliveryStatus = (typeof DELIVERY_STATUSES)[number];

export const DeliveriesQuery = PageQuery.extend({
  status: z.enum(DELIVERY_STATUSES, `must be one of ${DELIVERY_STATUSES.join(', ')}`).optional(),
});
export type DeliveriesQuery = z.output<typeof DeliveriesQuery>;

export const WebhookBody = z.object({
  id: z.string(),
  url: z.string(),
  description: z.string().optional(),
  events: z.array(z.string()),
  status: z.enum(['active', 'disabled']),
  /** `auto`: it took nothing for days, or said that it is gone. */
  disabled: z.object({ kind: z.enum(['user', 'auto']), reason: z.string(), at: z.string(), by: z.string() }).optional(),
  /** When each secret that signs was made, the newest first, and until when an older one goes on to sign. */
  secrets: z.array(z.object({ createdAt: z.string(), endsAt: z.string().optional() })),
  /** No delivery has been taken since then. */
  failingSince: z.string().optional(),
  version: z.number(),
  createdBy: z.string(),
  createdAt: z.string(),
  updatedAt: z.string(),
  asOf: z.string(),
});
export type WebhookBody = z.infer<typeof WebhookBody>;

/** The only answer that ever shows a secret. */
export const NewSecretBody = WebhookBody.extend({ secret: z.string() });
export type NewSecretBody = z.infer<typeof NewSecretBody>;

export const DELIVERY_OUTCOMES = ['delivered', 'refused', 'failed', 'timed_out', 'not_allowed', 'unknown'] as const;

/**
 * One try. `refused`: answered, with another status than 2xx. `failed`: no answer. `not_allowed`: the address is one that
 * nothing is sent to. `unknown`: it was begun, and nobody came to say how it ended.
 */
export const DeliveryAttemptBody = z.object({
  number: z.number(),
  at: z.string(),
  outcome: z.enum(DELIVERY_OUTCOMES),
  /** HTTP status, where there was an answer. */
  status: z.number().optional(),
  tookMs: z.number().optional(),
  detail: z.string(),
});
export type DeliveryAttemptBody = z.infer<typeof DeliveryAttemptBody>;

export const DeliveryBody = z.object({
  /** The `webhook-id` of every try. */
  id: z.string(),
  webhookId: z.string(),
  eventType: z.string(),
  eventId: z.string(),
  status: z.enum(DELIVERY_STATUSES),
  reason: z.string().optional(),
  attemptCount: z.number(),
  /** The last ones. */
  attempts: z.array(DeliveryAttemptBody),
  nextAttemptAt: z.string().optional(),
  createdAt: z.string(),
  settledAt: z.string().optional(),
  asOf: z.string(),
});
export type DeliveryBody = z.infer<typeof DeliveryBody>;

/** With what is sent, to the byte. */
export const DeliveryDetailBody = DeliveryBody.extend({ payload: z.string() });
export type DeliveryDetailBody = z.infer<typeof DeliveryDetailBody>;
