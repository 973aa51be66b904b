/** What every Workflow keeps: one execution per name, a token that is answered once, and looks that say how it stands. */
import { beforeEach, describe, expect, it, vi } from 'vitest';
import type { ExecutionInput, Workflow } from '../../core/ports.ts';

export interface WorkflowSubject {
  readonly workflow: Workflow;
  /** How many executions have begun, whatever became of them. */
  begun(): number;
  /** The token with which the execution of this name waits, once it does. */
  token(name: string): string | undefined;
}

export const SOUND: ExecutionInput = { tenantId: 't1', runId: 'run_sound', attempt: 1 };
/** An execution of this fails by itself, with {@link FAILURE}. */
export const DOOMED: ExecutionInput = { tenantId: 't1', runId: 'run_doomed', attempt: 1 };
export const FAILURE = 'LaunchMisconfigured';

const NAME = 'run_1-1';

/** @param begin a state machine that waits with a token for one signal, and succeeds with it */
export function workflowContract(name: string, begin: () => Promise<WorkflowSubject> | WorkflowSubject): void {
  describe(`${name} keeps the contract of a workflow`, () => {
    let subject: WorkflowSubject;
    beforeEach(async () => {
      subject = await begin();
    });

    const status = async (execution = NAME) => (await subject.workflow.describe(execution)).status;
    const eventually = (check: () => Promise<void> | void) => vi.waitFor(check, { timeout: 15_000, interval: 10 });
    const waiting = () =>
      vi.waitFor(() => subject.token(NAME) ?? Promise.reject(new Error('it waits with no token yet')), 15_000);

    it('begins one execution under a name that is open, however often it is told to', async () => {
      expect(await subject.workflow.start(NAME, SOUND)).toBe('started');
      // Step Functions answers the same name with the same input like the first one, as long as it is open.
      for (const answer of await Promise.all([1, 2, 3].map(() => subject.workflow.start(NAME, SOUND))))
        expect(['started', 'exists']).toContain(answer);
      await waiting();
      expect(subject.begun()).toBe(1);
    });

    it('begins none under a name that has ended', async () => {
      await subject.workflow.start(NAME, SOUND);
      await subject.workflow.signal(await waiting(), { vmId: 'vm_1' });
      await eventually(async () => expect(await status()).toBe('succeeded'));
      expect(await subject.workflow.start(NAME, SOUND)).toBe('exists');
      expect(subject.begun()).toBe(1);
    });

    it('signals whoever waits, once', async () => {
      await subject.workflow.start(NAME, SOUND);
      const token = await waiting();
      expect(await status()).toBe('running');
      expect(await subject.workflow.signal(token, { vmId: 'vm_1' })).toBe('signalled');
      await eventually(async () => expect(await status()).toBe('succeeded'));
      expect(await subject.workflow.signal(token, { vmId: 'vm_1' })).toBe('gone');
    });

    it('says that a token is gone with which nobody waits, or nobody any more', async () => {
      expect(await subject.workflow.signal('x'.repeat(43), { vmId: 'vm_1' })).toBe('gone');
      await subject.workflow.start(NAME, SOUND);
      const token = await waiting();
      await subject.workflow.stop(NAME, 'a test');
      expect(await subject.workflow.signal(token, { vmId: 'vm_1' })).toBe('gone');
    });

    it('stops what is open; what has ended or never was is as good as stopped', async () => {
      await subject.workflow.start(NAME, SOUND);
      await waiting();
      await subject.workflow.stop(NAME, 'a test');
      await eventually(async () => expect(await status()).toBe('aborted'));
      await subject.workflow.stop(NAME, 'again');
      await subject.workflow.stop('run_never-1', 'unknown');
      expect(await status()).toBe('aborted');
    });

    it('says how an execution has failed, and of none that it knows it', async () => {
      expect(await status()).toBe('unknown');
      await subject.workflow.start(NAME, DOOMED);
      await eventually(async () => expect(await status()).toBe('failed'));
      expect((await subject.workflow.describe(NAME)).detail).toContain(FAILURE);
    });
  });
}
