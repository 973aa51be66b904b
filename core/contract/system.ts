/** What the system says of itself: its parts, and the last audit. Status only: nothing here can be written. */
import * as z from 'zod';
import { AUDIT_KINDS, type AuditKind } from './auditKinds.ts';
import { type Answered, asOf, Iso8601Duration, Time } from './common.ts';

export * from './auditKinds.ts';

/** `GET /v1/health`. */
export const HealthBody = z
  .strictObject({ status: z.literal('ok'), asOf })
  .meta({ id: 'Health', description: 'The server answers.' });
export type HealthBody = Answered<typeof HealthBody>;

const PartStatus = z
  .enum(['alive', 'silent', 'seen', 'unknown'])
  .describe(
    'alive: its last proof is as fresh as it promised. silent: it promised another one, and none came. seen: it gave proof once and promises nothing (it works when there is work). unknown: it has never published anything.',
  );
export type PartStatus = Answered<typeof PartStatus>;

export const PartBody = z
  .strictObject({
    name: z.string(),
    owner: z
      .string()
      .exactOptional()
      .describe('Who does this work: the process or function that published last. Absent where none ever did.'),
    status: PartStatus,
    lastProofAt: Time.exactOptional(),
    promisedWithinSeconds: z.number().exactOptional().describe('The next proof is due this long after the last one.'),
    detail: z.record(z.string(), z.union([z.string(), z.number()])),
    asOf,
  })
  .meta({ id: 'SystemPart', description: 'One part, by what it published itself.' });
export type PartBody = Answered<typeof PartBody>;

export const MetricBody = z
  .strictObject({
    name: z.string(),
    dimensions: z.record(z.string(), z.string()),
    count: z.number(),
    sum: z.number(),
    max: z.number(),
  })
  .meta({ id: 'Metric', description: 'A measurement since the start of the process that answers.' });
export type MetricBody = Answered<typeof MetricBody>;

export const LimitsBody = z
  .strictObject({
    idempotencyKeyRetention: Iso8601Duration.describe(
      'An Idempotency-Key counts so long after the request that had the effect.',
    ),
    requestsPerMinute: z.int().min(0).describe('Of one caller; 0: as many as come.'),
    inputBytes: z.int(),
    metadataBytes: z.int(),
    unconfirmedFiresPerDay: z.int().describe('A cadence that fires more often in a day needs confirmFrequency.'),
  })
  .meta({ id: 'Limits', description: 'What this installation takes, so that clients need not guess.' });
export type LimitsBody = Answered<typeof LimitsBody>;

/** `GET /v1/system`. */
export const SystemBody = z
  .strictObject({
    version: z.strictObject({ schema: z.int().min(1) }),
    parts: z.array(PartBody),
    limits: LimitsBody,
    metrics: z
      .array(MetricBody)
      .exactOptional()
      .describe('Where measurements are kept in the process that answers: since it started.'),
    asOf,
  })
  .meta({ id: 'System', description: "The server's parts, each with its own last proof of life." });
export type SystemBody = Answered<typeof SystemBody>;

const Count = z.int().min(0);
const counts: Readonly<Record<AuditKind, typeof Count>> = Object.fromEntries(
  AUDIT_KINDS.map((kind) => [kind, Count]),
) as Record<AuditKind, typeof Count>;
const Counts = z.strictObject(counts);

export const AuditFindingBody = z
  .strictObject({
    kind: z.enum(AUDIT_KINDS),
    subject: z.string(),
    detail: z.string().describe('What was found, and by what.'),
    did: z.string().exactOptional().describe('What was done about it, where anything was.'),
    at: Time,
  })
  .meta({ id: 'AuditFinding', description: 'One thing that an audit found.' });
export type AuditFindingBody = Answered<typeof AuditFindingBody>;

/** `GET /v1/system/audit`. */
export const AuditBody = z
  .strictObject({
    status: z.enum(['clean', 'not_clean', 'never']).describe('never: no audit has been through everything yet.'),
    startedAt: Time.exactOptional(),
    endedAt: Time.exactOptional(),
    counts: Counts.exactOptional(),
    checked: z
      .strictObject({ schedules: Count, occurrences: Count, runs: Count, vms: Count })
      .exactOptional()
      .describe('What was compared.'),
    unread: Count.exactOptional().describe(
      'How often it came upon something that it could not read: of that nothing is known, so it is not clean.',
    ),
    findings: z.array(AuditFindingBody).describe('The first ones; counts has them all.'),
    running: z
      .strictObject({ startedAt: Time, stage: z.string() })
      .exactOptional()
      .describe('The audit that is under way.'),
    asOf,
  })
  .meta({ id: 'Audit', description: "What the last whole audit found of the caller's tenant." });
export type AuditBody = Answered<typeof AuditBody>;
