/** For functions that launch, look at and end instances: the only ones whose roles may. */
import { EC2Client } from '@aws-sdk/client-ec2';
import * as z from 'zod';
import { Ec2Fleet } from '../../adapters/aws/fleet.ts';
import { PoolConfig } from '../../adapters/aws/pools.ts';
import { patience } from '../../adapters/aws/requests.ts';
import type { Ports } from '../../core/ports.ts';
import { jsonFrom, optional, variables } from '../environment.ts';

/** @throws Error naming each variable, and each part of a pool, that is missing or wrong */
export function fleetPort({
  store,
  time,
  log,
  metrics,
  config,
}: Pick<Ports, 'store' | 'time' | 'log' | 'metrics' | 'config'>) {
  const environment = variables(['CANDOR_INSTALLATION', 'CANDOR_LAUNCH_TEMPLATE_ID', 'CANDOR_POOLS']);
  const pools = z.array(PoolConfig).min(1).safeParse(jsonFrom('CANDOR_POOLS', environment.CANDOR_POOLS));
  if (!pools.success) throw new Error(`CANDOR_POOLS is not valid: ${z.prettifyError(pools.error)}`);
  const tags = z.record(z.string(), z.string()).safeParse(jsonFrom('CANDOR_INSTANCE_TAGS', optional().instanceTags));
  if (!tags.success) throw new Error(`CANDOR_INSTANCE_TAGS is not valid: ${z.prettifyError(tags.error)}`);
  const fleet = new Ec2Fleet({
    // One more try of its own, under the same client token; then the state machine decides.
    client: new EC2Client({ maxAttempts: 2, requestHandler: patience(20_000) }),
    store,
    time,
    log,
    metrics,
    installation: environment.CANDOR_INSTALLATION,
    tags: tags.data,
    template: { id: environment.CANDOR_LAUNCH_TEMPLATE_ID, version: optional().launchTemplateVersion },
    pools: pools.data,
    launchesPerSecond: config.launchesPerSecond,
    launchBurst: config.launchBurst,
  });
  return { fleet };
}
