/** Webhooks: who is told of a tenant's events, by https and signed after the Standard Webhooks specification. */
import * as z from 'zod';
import { type Answered, asOf, Duration, PageQuery, PrincipalId, Time, Version } from './common.ts';

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
  // biome-ignore lint/suspicious/noControlCharactersInRegex: it is these that it keeps out.
  .regex(/^[^\u0000-\u001f\u007f-\u009f]*$/, 'must not contain control characters');

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
    description: Description.nullable().optional().describe('null takes it away.'),
    events: EventFilters.optional().describe('Replaces all of them.'),
    status: z
      .enum(['active', 'disabled'], 'must be active or disabled')
      .optional()
      .describe('Nothing is sent to a disabled one, and what happens meanwhile is not sent later.'),
  })
  .refine((patch) => Object.keys(patch).length > 0, 'must name at least one field to change');
export type WebhookPatch = z.output<typeof WebhookPatch>;

export const SECRET_OVERLAP_DEFAULT_SECONDS = 24 * HOUR;

export const SecretRotate = z.strictObject({
  overlap: Duration({ minSeconds: 0, maxSeconds: 7 * 24 * HOUR })
    .default(SECRET_OVERLAP_DEFAULT_SECONDS)
    .describe("For so long deliveries carry the old secret's signature too."),
});
export type SecretRotate = z.output<typeof SecretRotate>;

export const DELIVERY_STATUSES = ['pending', 'delivered', 'failed', 'cancelled'] as const;
export type DeliveryStatus = (typeof DELIVERY_STATUSES)[number];

export const DeliveriesQuery = PageQuery.extend({
  status: z.enum(DELIVERY_STATUSES, `must be one of ${DELIVERY_STATUSES.join(', ')}`).optional(),
});
export type DeliveriesQuery = z.output<typeof DeliveriesQuery>;

const webhookFields = {
  id: z.string(),
  url: z.string(),
  description: z.string().exactOptional(),
  events: z.array(z.string()),
  status: z.enum(['active', 'disabled']),
  disabled: z
    .strictObject({ kind: z.enum(['user', 'auto']), reason: z.string(), at: Time, by: z.string() })
    .exactOptional()
    .describe('auto: it took nothing for days, or said that it is gone.'),
  secrets: z
    .array(z.strictObject({ createdAt: Time, endsAt: Time.exactOptional() }))
    .describe('When each secret that signs was made, the newest first, and until when an older one goes on to sign.'),
  failingSince: Time.exactOptional().describe('No delivery has been taken since then.'),
  version: Version,
  createdBy: PrincipalId,
  createdAt: Time,
  updatedAt: Time,
  asOf,
} as const;
export const WebhookBody = z
  .strictObject(webhookFields)
  .meta({ id: 'Webhook', description: 'An endpoint that is told of events.' });
export type WebhookBody = Answered<typeof WebhookBody>;

export const NewSecretBody = z
  .strictObject({ ...webhookFields, secret: z.string().describe('What deliveries are signed with.') })
  .meta({ id: 'WebhookWithSecret', description: 'The only answer that ever shows a secret.' });
export type NewSecretBody = Answered<typeof NewSecretBody>;

export const DELIVERY_OUTCOMES = ['delivered', 'refused', 'failed', 'timed_out', 'not_allowed', 'unknown'] as const;

export const DeliveryAttemptBody = z
  .strictObject({
    number: z.int(),
    at: Time,
    outcome: z
      .enum(DELIVERY_OUTCOMES)
      .describe(
        'refused: answered, with another status than 2xx. failed: no answer. not_allowed: the address is one that nothing is sent to. unknown: it was begun, and nobody came to say how it ended.',
      ),
    status: z.int().exactOptional().describe('HTTP status, where there was an answer.'),
    tookMs: z.number().exactOptional(),
    detail: z.string(),
  })
  .meta({ id: 'DeliveryAttempt', description: 'One try.' });
export type DeliveryAttemptBody = Answered<typeof DeliveryAttemptBody>;

const deliveryFields = {
  id: z.string().describe('The webhook-id of every try.'),
  webhookId: z.string(),
  eventType: z.string(),
  eventId: z.string(),
  status: z.enum(DELIVERY_STATUSES),
  reason: z.string().exactOptional(),
  attemptCount: z.int(),
  attempts: z.array(DeliveryAttemptBody).describe('The last ones.'),
  nextAttemptAt: Time.exactOptional(),
  createdAt: Time,
  settledAt: Time.exactOptional(),
  asOf,
} as const;
export const DeliveryBody = z
  .strictObject(deliveryFields)
  .meta({ id: 'Delivery', description: 'What is sent to a webhook about one event.' });
export type DeliveryBody = Answered<typeof DeliveryBody>;

export const DeliveryDetailBody = z
  .strictObject({ ...deliveryFields, payload: z.string().describe('What is sent, to the byte.') })
  .meta({ id: 'DeliveryWithPayload', description: 'A delivery with what is sent.' });
export type DeliveryDetailBody = Answered<typeof DeliveryDetailBody>;
