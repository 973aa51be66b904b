/** The middleware that stands around every handler: context in the log, input validated, errors logged with their name. */
import { injectLambdaContext } from '@aws-lambda-powertools/logger/middleware';
import middy from '@middy/core';
import type { Context } from 'aws-lambda';
import { logger } from './log.ts';

/** The event is not one that this function takes. Permanent: a retry of the same event cannot help. */
export class InvalidEvent extends Error {
  constructor(detail: string) {
    super(detail);
    this.name = 'InvalidEvent';
  }
}

/** What tells an event of a function from any other: a schema, or less where a schema would be too much to load. */
interface Parser<Event> {
  safeParse(
    value: unknown,
  ): { readonly success: true; readonly data: Event } | { readonly success: false; readonly error: Error };
}

/** Wraps a use case: the event is parsed before it is handled; what is thrown keeps its name for Step Functions. */
export function wrap<Event, Result>(
  parser: Parser<Event>,
  handle: (event: Event, context: Context) => Promise<Result>,
) {
  return middy<unknown, Result, Error, Context>()
    .use(injectLambdaContext(logger, { resetKeys: true }))
    .onError((request) => {
      logger.error('handler.failed', request.error as Error);
    })
    .handler(async (event, context) => {
      const parsed = parser.safeParse(event);
      if (!parsed.success) throw new InvalidEvent(parsed.error.message);
      return handle(parsed.data, context);
    });
}
