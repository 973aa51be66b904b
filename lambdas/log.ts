/** The Lambdas' operating log: JSON lines, with the request's id in each. */
import { Logger } from '@aws-lambda-powertools/logger';
import { redactText } from '../adapters/system/redact.ts';
import type { Log } from '../core/ports.ts';

export const logger = new Logger({ serviceName: 'candor', jsonReplacerFn: redactText });

export const log: Log = {
  info: (event, facts = {}) => logger.info(event, { ...facts }),
  warn: (event, facts = {}) => logger.warn(event, { ...facts }),
  error: (event, facts = {}) => logger.error(event, { ...facts }),
};
