/** The rules for VMs, by their status. */
import type { VmRow } from '../../vms/model.ts';
import { dropCheck } from '../checks.ts';
import type { Look } from '../rule.ts';
import { drainingRule } from './draining.ts';
import { readyRule } from './ready.ts';
import { unregisteredRule } from './unregistered.ts';
import { unresponsiveRule } from './unresponsive.ts';

export const vmRule: Look<VmRow> = async (context, vm) => {
  switch (vm.status) {
    case 'terminated':
      await dropCheck(context.ports, vm);
      return [];
    case 'launching':
    case 'booting':
      return unregisteredRule(context, vm);
    case 'ready':
      return readyRule(context, vm);
    case 'unresponsive':
      return unresponsiveRule(context, vm);
    case 'draining':
      return drainingRule(context, vm);
  }
};
