/** State `LaunchVm` of provision-vm. */
import { launchVm } from '../core/vms/provision.ts';
import { lambdaPorts } from './ports.ts';
import { ExecutionEvent, wrap } from './wrap.ts';

export const handler = wrap(ExecutionEvent, (event) => launchVm(lambdaPorts(), event));
