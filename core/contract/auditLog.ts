/** Who changed what: one entry for each request that changed something. */
import * as z from 'zod';
import { type Answered, PageQuery, Time } from './common.ts';

const word = z.string().min(1, 'must not be empty').max(64, 'must have at most 64 characters').optional();

export const AuditLogQuery = z.strictObject({
  ...PageQuery.shape,
  by: word.describe('The id of who asked for it.'),
  operation: word.describe('The name of the operation, such as pauseSchedule.'),
  resource: word.describe('The id of something that was changed.'),
});
export type AuditLogQuery = z.output<typeof AuditLogQuery>;

export const AuditLogEntryBody = z
  .strictObject({
    requestId: z.string().describe('As in the answer that the caller got.'),
    at: Time,
    operation: z.string(),
    by: z.strictObject({
      kind: z.enum(['principal', 'run']),
      id: z.string(),
      credentialId: z.string().exactOptional().describe('Which of its credentials was shown.'),
    }),
    from: z
      .strictObject({ ip: z.string().exactOptional(), userAgent: z.string().exactOptional() })
      .describe('As the server saw it. The user agent is what the caller says of itself.'),
    changes: z
      .array(
        z.strictObject({
          id: z.string(),
          type: z.string().exactOptional().describe("The event's type, where the change left one."),
          before: z.int().exactOptional().describe('The version that was changed; absent where nothing stood before.'),
          after: z.int().exactOptional(),
        }),
      )
      .describe('What was written in the same transaction as this entry.'),
  })
  .meta({ id: 'AuditLogEntry', description: 'A request that changed something.' });
export type AuditLogEntryBody = Answered<typeof AuditLogEntryBody>;
