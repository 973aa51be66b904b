/** One answer to "why is it not running" and "why did it end so": what stands on the run, its VM and its queue, in words. */
import type { Reach } from '../access/grants.ts';
import { isoTime } from '../contract/common.ts';
import { isTerminal, type RunExplainBody } from '../contract/runs.ts';
import { placeInQueue } from '../limits/next.ts';
import type { Ports } from '../ports.ts';
import * as keys from '../table/itemKeys.ts';
import { asRow } from '../table/rows.ts';
import { triedText } from '../vms/launchErrors.ts';
import type { VmRow } from '../vms/model.ts';
import { triedOf } from '../vms/tried.ts';
import { endReason } from './endReasons.ts';
import type { RunRow } from './model.ts';
import { retryRuleOf } from './nextAttempt.ts';
import { loadRun } from './service.ts';

type Fact = RunExplainBody['facts'][number];

interface Answer {
  readonly summary: string;
  readonly facts?: readonly Fact[];
  readonly remedy?: string;
}

/** @throws NotFound */
export async function explainRun(ports: Ports, caller: Reach, runId: string): Promise<RunExplainBody> {
  const run = await loadRun(ports, caller, runId);
  const vm = run.vmId === undefined ? undefined : asRow<VmRow>(await ports.store.get(keys.vm(run.vmId)));
  const now = ports.time.now();
  const answer = isTerminal(run.status) ? ended(run) : await live(ports, caller, run, vm, now);
  return {
    runId,
    status: run.status,
    summary: answer.summary,
    facts: [
      { about: 'run', text: run.evidence.detail, evidence: run.evidence },
      ...(answer.facts ?? []),
      ...(run.attempts ?? []).map(attemptFact),
      ...(vm === undefined ? [] : [vmFact(vm, now)]),
    ],
    ...(answer.remedy !== undefined && { remedy: answer.remedy }),
    asOf: isoTime(now),
  };
}

const attemptFact = ({ attempt, reason, evidence }: NonNullable<RunRow['attempts']>[number]): Fact => ({
  about: `attempt ${attempt}`,
  text: `Attempt ${attempt} was given up (${reason}): ${evidence.detail}.`,
  evidence,
});

function vmFact(vm: VmRow, now: number): Fact {
  const lease =
    vm.status === 'terminated' || vm.leaseUntil === undefined
      ? ''
      : vm.leaseUntil >= now
        ? `; it was heard of ${secondsText(now - (vm.lastHeartbeatAt ?? vm.createdAt))} ago`
        : `; it has been silent for ${secondsText(now - (vm.lastHeartbeatAt ?? vm.createdAt))}`;
  return { about: 'vm', text: `VM ${vm.id} is ${vm.status}${lease}.`, evidence: vm.evidence };
}

const secondsText = (ms: number): string => `${Math.max(0, Math.round(ms / 1000))} s`;

async function live(ports: Ports, caller: Reach, run: RunRow, vm: VmRow | undefined, now: number): Promise<Answer> {
  const deadline = run.deadlineAt === undefined ? '' : ` It must have moved on by ${isoTime(run.deadlineAt)}.`;
  switch (run.status) {
    case 'queued':
    case 'provisioning':
      return undispatched(ports, caller, run, deadline);
    case 'starting':
      return {
        summary: `${run.vmId} has been told to start it; its process has not been seen yet.${deadline}`,
        ...(vm?.status === 'unresponsive' && {
          remedy: 'The VM is silent. If it stays so it is terminated, and the run is tried again or ends as lost.',
        }),
      };
    case 'running': {
      const since = run.startedAt === undefined ? '' : ` since ${isoTime(run.startedAt)}`;
      const silent = vm !== undefined && (vm.leaseUntil ?? 0) < now;
      const doubt = silent ? ' Its VM is silent, so nobody can say that it still is.' : '';
      return { summary: `It has been running${since}.${doubt}${deadline}` };
    }
    default:
      return cancelling(run);
  }
}

const CAPACITY_REMEDIES: Readonly<Record<string, string>> = {
  capacity: 'Allow more instance types or zones, or wait.',
  quota: "Raise the account's quota, or let other VMs end.",
  launch_rate: 'Wait: launches are spread over time. Warm VMs (warmFor) need fewer of them.',
};

const nextTry = (waiting: RunRow['waiting']): string =>
  waiting?.nextTryAt === undefined ? 'and again' : `at ${isoTime(waiting.nextTryAt)} at the latest`;

async function undispatched(ports: Ports, caller: Reach, run: RunRow, deadline: string): Promise<Answer> {
  const { waiting } = run;
  switch (waiting?.reason) {
    case undefined:
      return run.status === 'queued'
        ? { summary: `It has been queued and is about to be given a VM.${deadline}` }
        : { summary: `A VM is being launched for it.${deadline}` };
    case 'overlap':
      return {
        summary: `It waits for ${waiting?.blockedBy?.length ?? 0} other run(s) of its schedule to end.${deadline}`,
        facts: (waiting?.blockedBy ?? []).map((id) => ({ about: 'overlap', text: `Run ${id} was told to end.` })),
      };
    case 'retry_backoff': {
      const at = waiting?.nextTryAt === undefined ? 'soon' : `at ${isoTime(waiting.nextTryAt)}`;
      const { maxAttempts } = retryRuleOf(run);
      return { summary: `Attempt ${run.attempt - 1} failed; attempt ${run.attempt} of ${maxAttempts} begins ${at}.` };
    }
    case 'capacity':
    case 'quota':
    case 'launch_rate':
      return {
        summary: `There is no VM to be had (${waiting?.reason}); it is asked for again ${nextTry(waiting)}.${deadline}`,
        facts: triedOf(waiting).map((each) => ({ about: 'tried', text: triedText(each) })),
        remedy: CAPACITY_REMEDIES[waiting?.reason ?? 'capacity'] ?? 'Wait.',
      };
    default: {
      if (waiting?.limit === undefined) return { summary: `It waits: ${waiting?.reason}.${deadline}` };
      const place = await placeInQueue(ports, caller, waiting.limit, run);
      return {
        summary: `It waits for a place: ${waiting.reason} is ${waiting.maximum ?? '?'}, and it is number ${place.position} in the queue.${deadline}`,
        facts: place.blockedBy.map((id) => ({ about: 'limit', text: `${id} holds a place.` })),
        remedy: "Wait for these to end, cancel one of them, or raise the agent's limit.",
      };
    }
  }
}

function cancelling({ cancel }: RunRow): Answer {
  if (cancel === undefined) return { summary: 'It is being ended.' };
  const stage =
    cancel.acknowledgedAt === undefined
      ? 'the runner has not acknowledged that yet'
      : `the runner acknowledged it at ${isoTime(cancel.acknowledgedAt)}, and its process has not gone yet`;
  const signals =
    cancel.signals === undefined ? [] : [{ about: 'cancel', text: `Sent: ${cancel.signals.join(', ')}.` }];
  return { summary: `${cancel.requestedBy} asked for its end (${cancel.cause}); ${stage}.`, facts: signals };
}

function ended(run: RunRow): Answer {
  const { text, remedy } = endReason(run);
  const { correction, verification } = run;
  const facts: Fact[] = [];
  if (correction !== undefined)
    facts.push({
      about: 'correction',
      text: `Found out later: it ended as ${correction.status}${
        correction.verification?.status === 'unverified' ? ', without what its agent declares as proof of success' : ''
      }. The verdict above stands as it was given.`,
      evidence: correction.evidence,
    });
  for (const check of verification?.checks ?? [])
    facts.push({ about: check.criterion, text: `${check.met ? 'Met' : 'Not met'}: ${check.detail}.` });
  return { summary: text, facts, ...(remedy !== undefined && { remedy }) };
}
