/** What one machine does differently: quicker paces, one shard, and events that are polled instead of streamed. */
import * as z from 'zod';
import type { Features } from '../../adapters/http/app.ts';
import { OidcConfig } from '../../adapters/http/oidc.ts';
import { LocalSetupError } from '../../adapters/local/setupError.ts';
import { CoreConfig } from '../../core/config.ts';

/** Intervals that suit runners on the same machine; the order among them is the same as on AWS, and is checked. */
const LOCAL = {
  clockPrecisionSeconds: 1,
  overdueGraceSeconds: 10,
  heartbeatActiveSeconds: 0.2,
  heartbeatIdleSeconds: 2,
  heartbeatWarmSeconds: 0.2,
  leaseSeconds: 10,
  unresponsiveSeconds: 20,
  // Who takes the heartbeats is the very process that judges them: it cannot be away on its own.
  silentFleetSeconds: 0,
  maxClockSkewSeconds: 1,
  cancelInterruptSeconds: 5,
  cancelTerminateSeconds: 5,
  cancelResendSeconds: 10,
  cancelEscalateSeconds: 30,
  drainSeconds: 5,
  retryBackoffSeconds: 1,
  watchdogIntervalSeconds: 2,
  checkShards: 1,
  pollEvents: true,
  sweepsGarbage: true,
  // Nothing stands between the two: what a process was at when it was killed, it is not at any more.
  requestSecondsMax: 5,
  maxRequestsPerMinute: 60_000,
};

/**
 * @param overrides `CANDOR_CONFIG`: tests set limits and paces with it
 * @throws LocalSetupError that names every mistake in it; none is ignored
 */
export function localConfig(overrides: string | undefined): CoreConfig {
  const config = CoreConfig.safeParse({ ...LOCAL, ...parseObject(overrides, 'CANDOR_CONFIG') });
  if (config.success) return config.data;
  throw new LocalSetupError(`CANDOR_CONFIG cannot be used: ${config.error.message}`, REMEDY, config.error);
}

/**
 * Off means that the schedules' routes do not exist and that no schedule fires. Those that exist are kept as they are; once
 * they are on again, what came due meanwhile is caught up with or missed, as after any outage.
 * @param schedules `CANDOR_FEATURES_SCHEDULES`
 * @throws LocalSetupError for anything but `on` and `off`: a flag that is misspelt must not pass for one that is set
 */
export function localFeatures(schedules: string | undefined): Features {
  if (schedules === undefined || schedules === '' || schedules === 'on') return { schedules: true };
  if (schedules === 'off') return { schedules: false };
  throw new LocalSetupError(`CANDOR_FEATURES_SCHEDULES is "${schedules}"`, 'Set it to on or off, or unset it.');
}

/**
 * @param text `CANDOR_OIDC`: an OpenID Connect provider whose users may call, as JSON
 * @throws LocalSetupError that names what is wrong
 */
export function localOidc(text: string | undefined): OidcConfig | undefined {
  if (text === undefined || text === '') return undefined;
  const config = OidcConfig.safeParse(parseObject(text, 'CANDOR_OIDC'));
  if (config.success) return config.data;
  throw new LocalSetupError(
    `CANDOR_OIDC cannot be used: ${z.prettifyError(config.error)}`,
    'Give it {"issuer": "https://…", "audience": "…"}, or unset it.',
    config.error,
  );
}

const REMEDY = 'Unset it, or give it a JSON object with fields of core/config.ts.';

function parseObject(text: string | undefined, name: string): object {
  if (text === undefined || text === '') return {};
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value;
  } catch {
    // Not JSON: then it is no object either.
  }
  throw new LocalSetupError(`${name} is not a JSON object`, REMEDY);
}
