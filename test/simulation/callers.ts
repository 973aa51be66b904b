/** Those in whose name the API is called, and how. */
import type { Ports } from '../../core/ports.ts';
import type { Precondition } from '../../core/rules.ts';
import type { Operation } from './workload.ts';

export type Ask = <T>(name: string, call: (ports: Ports) => Promise<T>) => Promise<T | undefined>;

export const ANY: Precondition = { kind: 'any' };

export function preconditionOf({ ifMatch }: Operation, version: number | undefined, isNeeded: boolean): Precondition {
  if (ifMatch && version !== undefined) return { kind: 'version', version };
  return isNeeded ? ANY : { kind: 'none' };
}

export const CALLER = { tenantId: 'ten_local', principalId: 'usr_local' };
export const BOSS = { tenantId: 'ten_local', principalId: 'usr_boss' };
export const ELSEWHERE = { tenantId: 'ten_elsewhere', principalId: 'usr_elsewhere' };
