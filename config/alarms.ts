/** Who hears of an environment's alarms, and when they begin. `lib/ops/catalogue.ts` lists the alarms themselves. */
import * as z from 'zod';

const topicArn = z
  .string({ error: 'give the ARN of an SNS topic' })
  .regex(/^arn:[\w-]+:sns:/, { error: 'give the ARN of an SNS topic' });

const targets = {
  emails: z.array(z.email({ error: 'give an e-mail address' })).default([]),
  /** Topics that exist already and shall hear of alarms too. */
  topicArns: z.array(topicArn).default([]),
};

const atLeast = (least: number, fallback: number, unit: string) =>
  z
    .number({ error: `give ${unit}` })
    .min(least, { error: `give ${unit}, at least ${least}` })
    .default(fallback);
const whole = (fallback: number, unit: string, most = 1_000_000) =>
  z
    .int({ error: `give a whole number of ${unit}` })
    .min(1, { error: `give ${unit}, at least 1` })
    .max(most, { error: `give ${unit}, at most ${most}` })
    .default(fallback);

const words = { error: 'give 1 (critical) to 4 (low)' };
const severity = z.int(words).min(1, words).max(4, words).optional();

/** What an operator may want otherwise. Each belongs to the alarm in brackets. */
const Thresholds = z
  .strictObject({
    /** Occurrences in a row that the clock left to the watchdog (scheduler-dead). */
    clockMisses: whole(2, 'occurrences'),
    /** Of the 99th percentile, beyond flexible windows (fires-late). Scheduler itself fires up to a minute late. */
    fireLatenessSeconds: atLeast(1, 120, 'seconds'),
    /** How long a promise may be broken (runs-stuck). */
    overdueSeconds: atLeast(60, 300, 'seconds'),
    /** How long a run may wait for its turn (queue-age). */
    queueAgeSeconds: atLeast(60, 3600, 'seconds'),
    /** Executions of provision-vm that failed within five minutes (executions-failed). */
    executionsFailed: whole(3, 'executions'),
    /** Launches without room in any pool, in each of three times five minutes (launch-capacity). */
    capacityFailures: whole(1, 'launches'),
    /** Of all requests within five minutes, from five failures on (api-5xx). */
    api5xxPercent: atLeast(0.1, 5, 'percent'),
    /** How far fan-out may be behind the table (events-behind). */
    streamAgeSeconds: atLeast(60, 300, 'seconds'),
    /** Errors of a function in each of two times five minutes (…-errors). */
    functionErrors: whole(5, 'errors'),
    /** How long a dead letter may lie before that is told too (…-dead-letters-old); after 14 days it is deleted. */
    deadLetterAgeHours: whole(72, 'hours', 168),
    /** Hours without an audit that came through (audit-silent). One takes place every hour. */
    auditSilentHours: whole(4, 'hours', 24),
  })
  .prefault({});

export const AlarmConfig = z
  .strictObject({
    /** Hear of both severities. */
    ...targets,
    /** Hear of pages, or of tickets, besides. */
    page: z.strictObject(targets).prefault({}),
    ticket: z.strictObject(targets).prefault({}),
    /**
     * Each alarm, when it begins, tells those who hear of tickets, besides the composite alarm of its severity: or nobody
     * would hear of a second cause while the first is open.
     */
    tellEach: z.boolean().default(true),
    /** Opens an OpsItem of Systems Manager with this severity, where one is given. */
    opsItems: z.strictObject({ page: severity, ticket: severity }).prefault({}),
    /** Where your people read `docs/runbooks`, such as https://git.example.com/candor/blob/main/docs/runbooks */
    runbooksUrl: z.url({ error: 'give the address of the folder with the runbooks' }).optional(),
    thresholds: Thresholds,
  })
  .prefault({});

export type AlarmConfig = z.output<typeof AlarmConfig>;
export type AlarmThresholds = AlarmConfig['thresholds'];
