/** The states of a run, apart from the schemas around them: what decides about runs needs no more. */
export const RUN_STATUSES = [
  'queued',
  'provisioning',
  'starting',
  'running',
  'cancelling',
  'succeeded',
  'failed',
  'cancelled',
  'timed_out',
  'lost',
] as const;
export type RunStatus = (typeof RUN_STATUSES)[number];
export type TerminalStatus = 'succeeded' | 'failed' | 'cancelled' | 'timed_out' | 'lost';

export const TERMINAL_STATUSES: readonly RunStatus[] = ['succeeded', 'failed', 'cancelled', 'timed_out', 'lost'];
export const isTerminal = (status: RunStatus): status is TerminalStatus => TERMINAL_STATUSES.includes(status);
