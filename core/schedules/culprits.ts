/**
 * Which schedule was it? The measurements name none (each value of a dimension costs money for ever), and `fire` has no room
 * for more; so whoever sees the ledger's entries go by says in the log what was missed, and what began late.
 */
import { isoSecond } from '../contract/common.ts';
import type { Ports } from '../ports.ts';
import { OCCURRENCE_PREFIX } from '../table/keys.ts';
import type { Item } from '../table/model.ts';
import type { OccurrenceRow } from './model.ts';

/** @param item anything that was inserted; said is only what an entry of a schedule's own times says */
export function tellCulprit({ log, config }: Pick<Ports, 'log' | 'config'>, item: Item): void {
  if (!item.sk.startsWith(OCCURRENCE_PREFIX)) return;
  const {
    tenantId,
    scheduleId,
    at,
    through,
    count = 1,
    disposition,
    decidedAt,
    decidedUnder,
    backfillId,
  } = item as unknown as OccurrenceRow;
  if (backfillId !== undefined) return;
  const occurrence = isoSecond(at);
  if (disposition === 'missed') {
    const until = through === undefined ? undefined : isoSecond(through);
    log.warn('occurrence.missed', { tenantId, scheduleId, occurrence, count, through: until });
  }
  if (disposition !== 'dispatched' && disposition !== 'buffered') return;
  const lateSeconds = (decidedAt - at) / 1000 - (decidedUnder?.flexibleWindowSeconds ?? 0);
  if (lateSeconds > config.clockPrecisionSeconds)
    log.warn('fire.late', { tenantId, scheduleId, occurrence, lateSeconds });
}
