/** Who changed what: one entry for each request that changed something. */
import * as z from 'zod';
import { type Answered, PageQuery, Time } from './common.ts';
import { ROLES } from './roles.ts';

const word = z.string().min(1, 'must not be empty').max(64, 'must have at most 64 characters').optional();

export const AuditLogQuery = z.strictObject({
  ...PageQuery.shape,
  by: word.describe('The id of who asked for it.'),
  operation: word.describe('The name of the operation, such as pauseSchedule.'),
  resource: word.describe('The id of something that was changed, a key included.'),
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
          keyId: z
            .string()
            .exactOptional()
            .describe('Of a principal: the key that was made, took another’s place, or was revoked.'),
          role: z
            .enum(ROLES)
            .nullable()
            .exactOptional()
            .describe('Of a principal: the role that it was given; null: none.'),
          agents: z
            .record(z.string(), z.enum(ROLES))
            .exactOptional()
            .describe('Of a principal: the roles over agents that it was given.'),
          status: z.enum(['active', 'revoked']).exactOptional().describe('Of a principal: what it was set to.'),
        }),
      )
      .describe('What was written in the same transaction as this entry.'),
  })
  .meta({ id: 'AuditLogEntry', description: 'A request that changed something.' });
export type AuditLogEntryBody = Answered<typeof AuditLogEntryBody>;
