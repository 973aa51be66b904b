/** State `ReleaseVm` of provision-vm. */
import { releaseAttempt } from '../core/vms/provision.ts';
import { lambdaPorts } from './ports.ts';
import { ExecutionEvent, wrap } from './wrap.ts';

export const handler = wrap(ExecutionEvent, (event) => releaseAttempt(lambdaPorts(), event));
