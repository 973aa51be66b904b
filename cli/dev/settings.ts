/** What one machine does differently: quicker paces, one shard, and events that are polled instead of streamed. */
import { CoreConfig } from '../../core/config.ts';

/** Intervals that suit runners on the same machine; the order among them is the same as on AWS, and is checked. */
export const localConfig = (overrides: object = {}): CoreConfig =>
  CoreConfig.parse({
    clockPrecisionSeconds: 1,
    overdueGraceSeconds: 10,
    heartbeatActiveSeconds: 0.2,
    heartbeatIdleSeconds: 2,
    leaseSeconds: 10,
    unresponsiveSeconds: 20,
    maxClockSkewSeconds: 1,
    cancelInterruptSeconds: 5,
    cancelTerminateSeconds: 5,
    cancelResendSeconds: 10,
    cancelEscalateSeconds: 30,
    drainSeconds: 5,
    watchdogIntervalSeconds: 2,
    checkShards: 1,
    pollEvents: true,
    ...overrides,
  });
