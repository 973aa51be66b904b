/** State `DispatchRun` of provision-vm. */
import * as z from 'zod/mini';
import { dispatchRun } from '../core/vms/provision.ts';
import { composed } from './ports/base.ts';
import { ExecutionEvent, wrap } from './wrap.ts';

const DispatchEvent = z.extend(ExecutionEvent, { vmId: z.string().check(z.minLength(1)) });

const ports = composed();

export const handler = wrap(DispatchEvent, (event) => dispatchRun(ports(), event));
