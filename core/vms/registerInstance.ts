/**
 * Registration on AWS (design.md §5.5): the caller is an instance, as AWS's own signature says. It may speak for the one VM
 * whose launch it was the answer to, and for no other.
 */
import type { RegisterRequest, RegisterResponse } from '../contract/runner.ts';
import { CandorError } from '../errors.ts';
import type { Ports } from '../ports.ts';
import * as keys from '../table/itemKeys.ts';
import { asRow } from '../table/rows.ts';
import type { VmRow } from './model.ts';
import { registerRunner } from './register.ts';

/**
 * @param instanceId who calls, by its instance profile's session name
 * @throws CandorError `try_again` before the launch's answer is stored, `unauthenticated` for another instance
 */
export async function registerInstance(
  ports: Ports,
  instanceId: string,
  request: RegisterRequest,
): Promise<RegisterResponse> {
  const vm = asRow<VmRow>(await ports.store.get(keys.vm(request.vmId)));
  // An instance boots while its launch's answer is still on its way: that is no reason to send it away.
  if (vm === undefined || (vm.instanceId === undefined && vm.status !== 'terminated'))
    throw new CandorError('try_again', `${request.vmId} is not known yet.`, { remedy: 'Register again in a moment.' });
  if (vm.instanceId !== instanceId)
    throw new CandorError('unauthenticated', `${instanceId} is not the instance of ${request.vmId}.`, {
      remedy: 'Stop this runner.',
    });
  return registerRunner(ports, { kind: 'registration', tenantId: vm.tenantId, vmId: vm.id }, request);
}
