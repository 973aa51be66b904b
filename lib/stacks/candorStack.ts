/** What all stacks of an installation have in common: its account, region and zones, its tags, its protection. */
import { RemovalPolicy, Stack, Tags } from 'aws-cdk-lib';
import { RetentionDays } from 'aws-cdk-lib/aws-logs';
import type { Construct } from 'constructs';
import { type EnvironmentConfig, zonesOf } from '../../config/schema.ts';
import { TAGS } from '../tags.ts';

/** One deployment of Candor: an environment's name, and the id that its resources carry. */
export interface Installation {
  readonly environment: string;
  /** `candor-<environment>`: prefix of names, value of the tag that rights in EC2 are tied to. */
  readonly id: string;
  readonly config: EnvironmentConfig;
}

const LOG_RETENTION: Readonly<Record<number, RetentionDays>> = {
  1: RetentionDays.ONE_DAY,
  7: RetentionDays.ONE_WEEK,
  30: RetentionDays.ONE_MONTH,
  90: RetentionDays.THREE_MONTHS,
  365: RetentionDays.ONE_YEAR,
};

export class CandorStack extends Stack {
  readonly installation: Installation;

  constructor(scope: Construct, part: string, installation: Installation, description: string) {
    const { config, id } = installation;
    super(scope, `${id}-${part}`, {
      stackName: `${id}-${part}`,
      description,
      env: { region: config.region, ...(config.account !== 'current' && { account: config.account }) },
      terminationProtection: config.production,
      analyticsReporting: false,
    });
    this.installation = installation;
    Tags.of(this).add(TAGS.installation, id);
    for (const [name, value] of Object.entries(config.tags)) Tags.of(this).add(name, value);
  }

  /** Those of the configuration: nothing is looked up, so that synthesis needs neither network nor account. */
  override get availabilityZones(): string[] {
    return [...zonesOf(this.installation.config.network)];
  }

  /** For what holds data. What a first deployment that fails has made goes again: it is empty, and its name would stand in the way. */
  get dataRemoval(): RemovalPolicy {
    return this.installation.config.retention.keepData
      ? RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE
      : RemovalPolicy.DESTROY;
  }

  get logRetention(): RetentionDays {
    return LOG_RETENTION[this.installation.config.retention.functionLogsDays] ?? RetentionDays.ONE_MONTH;
  }
}
