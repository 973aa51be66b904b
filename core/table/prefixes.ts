/** The beginnings of keys, for ranges. */
export const pad = (number: number) => String(number).padStart(10, '0');
export const STRAY_INSTANCES = 'FLEET#STRAY';
export const UNAVAILABLE_PREFIX = 'NONE#';
export const API_KEY_PREFIX = 'KEY#';
export const AGENT_NAME_PREFIX = 'AGTNAME#';
export const SCHEDULE_NAME_PREFIX = 'SCHNAME#';
export const WEBHOOK_PREFIX = 'WHK#';
export const DELIVERY_PREFIX = 'DLV#';
export const CHILD_PREFIX = 'CHILD#';
export const wantingPrefix = (version: number): string => `WANT#${pad(version)}#`;
export const freeVmPrefix = (version: number): string => `FREE#${pad(version)}#`;
export const LIMIT_HOLDER_PREFIX = 'HOLD#';
export const LIMIT_WAITER_PREFIX = 'WAIT#';
export const EVENT_PREFIX = 'EVT#';
export const NOTE_PREFIX = 'NOTE#';
export const REVISION_PREFIX = 'REV#';
export const OCCURRENCE_PREFIX = 'OCC#';
export const SCHEDULE_RUN_PREFIX = 'RUN#';

/** Occurrences sort by time: zero-padded epoch seconds, numeric order for every instant until the year 2286 and beyond. */
export const occurrenceSort = (at: number): string =>
  `${OCCURRENCE_PREFIX}${String(Math.floor(at / 1000)).padStart(12, '0')}`;

/** Apart, as what follows is: the functions that know nothing of it carry nothing of it. */

/** Names are unique without regard to case or surrounding space. */
export const fold = (name: string) => name.trim().toLowerCase();
