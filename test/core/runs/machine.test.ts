import { describe, expect, it } from 'vitest';
import { RUN_STATUSES, type RunStatus, TERMINAL_STATUSES, type TerminalStatus } from '../../../core/contract/runs.ts';
import { nextStatus, RUN_EVENTS, type RunEvent } from '../../../core/runs/machine.ts';

/**
 * What design.md §3 says, written out by hand. `→ x` goes there, `same` has had its effect, `no` is refused,
 * `end` ends the run with the verdict that was given.
 */
const EXPECTED: Record<RunStatus, Record<RunEvent, string>> = {
  queued: {
    provision: '→ provisioning',
    dispatch: '→ starting',
    start: 'no',
    request_cancel: 'end',
    next_attempt: '→ queued',
    end: 'end',
  },
  provisioning: {
    provision: 'same',
    dispatch: '→ starting',
    start: 'no',
    request_cancel: 'end',
    next_attempt: '→ queued',
    end: 'end',
  },
  starting: {
    provision: 'no',
    dispatch: 'same',
    start: '→ running',
    request_cancel: '→ cancelling',
    next_attempt: '→ queued',
    end: 'end',
  },
  running: {
    provision: 'no',
    dispatch: 'same',
    start: 'same',
    request_cancel: '→ cancelling',
    next_attempt: '→ queued',
    end: 'end',
  },
  cancelling: {
    provision: 'no',
    dispatch: 'same',
    start: 'same',
    request_cancel: 'same',
    next_attempt: 'no',
    end: 'end',
  },
  succeeded: { provision: 'no', dispatch: 'no', start: 'no', request_cancel: 'no', next_attempt: 'no', end: 'no' },
  failed: { provision: 'no', dispatch: 'no', start: 'no', request_cancel: 'no', next_attempt: 'no', end: 'no' },
  cancelled: { provision: 'no', dispatch: 'no', start: 'no', request_cancel: 'no', next_attempt: 'no', end: 'no' },
  timed_out: { provision: 'no', dispatch: 'no', start: 'no', request_cancel: 'no', next_attempt: 'no', end: 'no' },
  lost: { provision: 'no', dispatch: 'no', start: 'no', request_cancel: 'no', next_attempt: 'no', end: 'no' },
};

const VERDICTS: readonly TerminalStatus[] = ['succeeded', 'failed', 'cancelled', 'timed_out', 'lost'];

function answerOf(from: RunStatus, event: RunEvent, verdict: TerminalStatus): string {
  const answer = nextStatus(from, event, verdict);
  if (answer.kind === 'same') return 'same';
  if (answer.kind === 'refuse') return 'no';
  return answer.to === verdict ? 'end' : `→ ${answer.to}`;
}

describe('the run’s transition table', () => {
  it('knows the states and events of the design, and no others', () => {
    expect([...RUN_STATUSES].sort()).toEqual(Object.keys(EXPECTED).sort());
    for (const status of RUN_STATUSES) expect(Object.keys(EXPECTED[status]).sort()).toEqual([...RUN_EVENTS].sort());
    expect([...TERMINAL_STATUSES].sort()).toEqual([...VERDICTS].sort());
  });

  const pairs = RUN_STATUSES.flatMap((status) => RUN_EVENTS.map((event) => ({ status, event })));
  it.each(pairs)('answers $event in $status as the design says, whatever the verdict', ({ status, event }) => {
    for (const verdict of VERDICTS) expect(answerOf(status, event, verdict)).toBe(EXPECTED[status][event]);
  });

  it.each(pairs)('gives a reason when it refuses $event in $status', ({ status, event }) => {
    const answer = nextStatus(status, event, 'succeeded');
    if (answer.kind === 'refuse') expect(answer.why).not.toBe('');
  });

  it.each(RUN_STATUSES.filter((status) => !VERDICTS.includes(status as TerminalStatus)))(
    'refuses to end a %s run without a verdict, or with one that ends nothing',
    (status) => {
      expect(nextStatus(status, 'end').kind).toBe('refuse');
      expect(nextStatus(status, 'end', 'running' as TerminalStatus).kind).toBe('refuse');
    },
  );

  it.each(VERDICTS)('leaves %s for nothing: a terminal state absorbs every event (I3)', (status) => {
    for (const event of RUN_EVENTS)
      for (const verdict of VERDICTS) expect(nextStatus(status, event, verdict).kind).toBe('refuse');
  });

  it('never goes from any state back to one before the marker while a cancel is under way', () => {
    for (const event of RUN_EVENTS) {
      const answer = nextStatus('cancelling', event, 'cancelled');
      if (answer.kind === 'go') expect(VERDICTS).toContain(answer.to);
    }
  });
});
