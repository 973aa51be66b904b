/** The stacks of one installation, from what is stateful to what only looks on. */
import type { App } from 'aws-cdk-lib';
import type { EnvironmentConfig } from '../config/schema.ts';
import type { Installation } from './stacks/candorStack.ts';
import { ControlStack } from './stacks/control.ts';
import { DataStack } from './stacks/data.ts';
import { FleetStack } from './stacks/fleet.ts';
import { OpsStack } from './stacks/ops.ts';

export interface Stacks {
  readonly data: DataStack;
  readonly fleet: FleetStack;
  readonly control: ControlStack;
  readonly ops: OpsStack;
}

export function addStacks(app: App, environment: string, config: EnvironmentConfig): Stacks {
  const installation: Installation = { environment, id: `candor-${environment}`, config };
  const data = new DataStack(app, installation);
  const fleet = new FleetStack(app, installation);
  const control = new ControlStack(app, installation, data, fleet);
  const ops = new OpsStack(app, installation, data, control);
  return { data, fleet, control, ops };
}
