/** State `ReleaseVm` of provision-vm. */
import { releaseAttempt } from '../core/vms/provision.ts';
import { composed } from './ports/base.ts';
import { fleetPort } from './ports/fleet.ts';
import { ExecutionEvent, wrap } from './wrap.ts';

const ports = composed(fleetPort);

export const handler = wrap(ExecutionEvent, (event) => releaseAttempt(ports(), event));
