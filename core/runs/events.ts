/** Events: the items that every change of state appends (I13), and that fan-out reads. */

import type { CoreConfig } from '../config.ts';
import type { Json } from '../contract/common.ts';
import * as keys from '../table/itemKeys.ts';
import { checkPartition, shardOf } from '../table/keys.ts';
import { absent, guard, type Key, type Write } from '../table/model.ts';
import { asItem, SCHEMA_VERSION } from '../table/rows.ts';
import type { EventRow } from './model.ts';

export interface EventFacts {
  readonly tenantId: string;
  readonly subject: EventRow['subject'];
  readonly subjectId: string;
  /** The version that the change makes. */
  readonly sequence: number;
  readonly type: string;
  readonly at: number;
  readonly status?: string | undefined;
  readonly detail?: Readonly<Record<string, Json | undefined>>;
  readonly writer: string;
}

export const eventKey = (subject: EventFacts['subject'], subjectId: string, sequence: number) =>
  ({
    run: keys.runEvent,
    schedule: keys.scheduleEvent,
    vm: keys.vmEvent,
    agent: keys.agentEvent,
    principal: keys.principalEvent,
    webhook: keys.webhookEvent,
  })[subject](subjectId, sequence);

export function appendEvent(config: CoreConfig, facts: EventFacts): Write {
  return { kind: 'put', item: asItem(eventRow(config, facts)), guards: [guard('event.appendedOnce', absent)] };
}

/** A note beside the events: handled by fan-out like one, but no change of state, so it has no place in their sequence. */
export function appendNote(config: CoreConfig, key: Key, facts: EventFacts): Write {
  return { kind: 'put', item: { ...asItem(eventRow(config, facts)), ...key } };
}

function eventRow(config: CoreConfig, facts: EventFacts): EventRow {
  return {
    ...eventKey(facts.subject, facts.subjectId, facts.sequence),
    schemaVersion: SCHEMA_VERSION,
    ...dropUndefined(facts),
    detail: facts.detail ?? {},
    ...(config.pollEvents && {
      checkIn: checkPartition('EVT', shardOf(facts.subjectId, config.checkShards)),
      checkAt: facts.at,
    }),
  };
}

const dropUndefined = ({ status, ...rest }: EventFacts) => (status === undefined ? rest : { ...rest, status });
