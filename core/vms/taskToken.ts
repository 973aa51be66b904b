/**
 * The token by which the state machine waits for a VM's registration. It has some hundred bytes, which would make each write
 * of the VM's row cost double: so it has an item of its own, in no transaction with the row. AwaitReady writes the token and
 * then reads the row, the registration (and the VM's end) writes the row and then reads the token. So whichever comes second
 * sees the other; where both do, the second signal changes nothing.
 */
import type { Ports } from '../ports.ts';
import * as keys from '../table/itemKeys.ts';
import { asItem, asRow, type RowBase, SCHEMA_VERSION } from '../table/rows.ts';
import type { VmRow } from './model.ts';

interface TaskTokenRow extends RowBase {
  readonly taskToken: string;
}

/** A state that is tried again has a new token: the last one counts. */
export function leaveTaskToken(
  ports: Pick<Ports, 'store'>,
  tenantId: string,
  vmId: string,
  taskToken: string,
): Promise<void> {
  const row: TaskTokenRow = { ...keys.vmTaskToken(vmId), schemaVersion: SCHEMA_VERSION, tenantId, taskToken };
  return ports.store.transact([{ kind: 'put', item: asItem(row) }]);
}

/** To be asked only after the row was written that says what the signal is for. */
export async function taskTokenOf(ports: Pick<Ports, 'store'>, vm: VmRow): Promise<string | undefined> {
  return asRow<TaskTokenRow>(await ports.store.get(keys.vmTaskToken(vm.id)))?.taskToken ?? vm.taskToken;
}
