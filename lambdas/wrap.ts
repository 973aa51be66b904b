/** The middleware that stands around every handler: context in the log, input validated, errors logged with their name. */
import { injectLambdaContext } from '@aws-lambda-powertools/logger/middleware';
import middy from '@middy/core';
import type { Context } from 'aws-lambda';
import * as z from 'zod/mini';
import { logger } from './log.ts';

/** The event is not one that this function takes. Permanent: a retry of the same event cannot help. */
export class InvalidEvent extends Error {
  constructor(detail: string) {
    super(detail);
    this.name = 'InvalidEvent';
  }
}

/** Wraps a use case: the event is parsed by `schema` before it is handled; what is thrown keeps its name for Step Functions. */
export function wrap<Schema extends z.core.$ZodType, Result>(
  schema: Schema,
  handle: (event: z.output<Schema>, context: Context) => Promise<Result>,
) {
  return middy<unknown, Result, Error, Context>()
    .use(injectLambdaContext(logger, { resetKeys: true }))
    .onError((request) => {
      logger.error('handler.failed', request.error as Error);
    })
    .handler(async (event, context) => {
      const parsed = z.safeParse(schema, event);
      if (!parsed.success) throw new InvalidEvent(z.prettifyError(parsed.error));
      return handle(parsed.data, context);
    });
}

/** What the state machine hands to each of its functions. */
export const ExecutionEvent = z.looseObject({
  tenantId: z.string().check(z.minLength(1)),
  runId: z.string().check(z.minLength(1)),
  attempt: z.int().check(z.gte(1)),
});
