/** Moving a check: not a change of state, so no version and no event; a row that changed meanwhile is left alone. */
import { GuardFailed } from '../errors.ts';
import type { Ports } from '../ports.ts';
import { eq, guard, type Key } from '../table/model.ts';

export async function moveCheck(ports: Ports, row: Key & { readonly version: number }, checkAt: number): Promise<void> {
  const guards = [
    guard('check.rowUnchanged', eq('version', row.version)),
    guard('check.stillDue', { op: 'has', attribute: 'checkAt' }),
  ];
  await ports.store
    .transact([{ kind: 'update', key: { pk: row.pk, sk: row.sk }, set: { checkAt }, guards }])
    .catch((error: unknown) => {
      if (!(error instanceof GuardFailed)) throw error;
    });
}

/** Takes a check away from a row that is at rest. */
export async function dropCheck(ports: Ports, row: Key & { readonly version: number }): Promise<void> {
  const guards = [guard('check.rowAtRest', eq('version', row.version))];
  const set = { checkIn: undefined, checkAt: undefined };
  await ports.store
    .transact([{ kind: 'update', key: { pk: row.pk, sk: row.sk }, set, guards }])
    .catch((error: unknown) => {
      if (!(error instanceof GuardFailed)) throw error;
    });
}
