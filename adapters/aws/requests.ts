/** How long a call to AWS may take, for every client. */

/**
 * Without `throwOnRequestTimeout` a request that is late is only warned of.
 * @param requestTimeout milliseconds
 */
export const patience = (requestTimeout = 10_000) =>
  ({ connectionTimeout: 2000, requestTimeout, throwOnRequestTimeout: true }) as const;
