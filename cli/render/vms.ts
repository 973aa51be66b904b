/** VMs and the system's parts for people. */
import type { VmBody } from '../../core/contract/runs.ts';
import type { Page } from '../client.ts';
import { fields, inline, type Paint, relative, status, statusCell, table, when } from '../text.ts';
import { evidenceFields } from './runs.ts';

export const vmTable = (paint: Paint, page: Page<VmBody>): string =>
  table(
    paint,
    ['ID', 'STATUS', 'AGENT', 'SLOTS', 'RUNS', 'LEASE', 'CREATED', 'EVIDENCE', 'NOTE'],
    page.items.map((vm) => [
      vm.id,
      statusCell(vm.status),
      vm.agentId,
      `${vm.runs.length}/${vm.slots}`,
      vm.runs.map((run) => run.runId).join(' '),
      leaseText(vm, page.asOf),
      relative(vm.createdAt, page.asOf),
      `${vm.evidence.source} ${relative(vm.evidence.observedAt, page.asOf)}`,
      noteText(vm, page.asOf),
    ]),
  );

/** Of a VM that is on its way out, the time until which it was kept for further runs says nothing any more. */
const isKept = (vm: VmBody): boolean => vm.status !== 'draining' && vm.status !== 'terminated';

function noteText(vm: VmBody, asOf: string | undefined): string {
  if (vm.status === 'terminated') return '';
  const notes = [
    vm.drain && `drain asked for by ${vm.drain.requestedBy}`,
    vm.idleSince && `went idle ${relative(vm.idleSince, asOf)}`,
    isKept(vm) && vm.warmUntil && `drains ${relative(vm.warmUntil, asOf)}`,
  ];
  return notes.filter(Boolean).join(', ');
}

/** The lease of a VM that is gone says nothing any more. */
function leaseText(vm: VmBody, asOf: string | undefined): string | undefined {
  if (vm.leaseUntil === undefined || vm.status === 'terminated') return undefined;
  const ended = asOf !== undefined && Date.parse(vm.leaseUntil) < Date.parse(asOf);
  return `${ended ? 'ran out' : 'ends'} ${relative(vm.leaseUntil, asOf)}`;
}

export const vmDetail = (paint: Paint, vm: VmBody): string =>
  fields(paint, [
    ['id', vm.id],
    ['status', status(paint, vm.status)],
    ...evidenceFields('evidence', vm.evidence, vm.asOf),
    ['agent', vm.agentId],
    ['instance', vm.instanceId && inline(vm.instanceId)],
    ['drain', vm.drain && inline(`asked for ${when(vm.drain.requestedAt, vm.asOf)} by ${vm.drain.requestedBy}`)],
    ['slots', `${vm.runs.length} of ${vm.slots} taken`],
    ['runs', vm.runs.map((run) => `${run.runId} (attempt ${run.attempt})`).join('\n') || 'none'],
    ['idle since', vm.idleSince && when(vm.idleSince, vm.asOf)],
    ['warm until', isKept(vm) ? vm.warmUntil && when(vm.warmUntil, vm.asOf) : undefined],
    ['lease', vm.leaseUntil && `${leaseText(vm, vm.asOf) ?? 'over'}, ${when(vm.leaseUntil, vm.asOf)}`],
    ['generation', String(vm.generation)],
    ['created', when(vm.createdAt, vm.asOf)],
    ['terminated', vm.terminatedAt && when(vm.terminatedAt, vm.asOf)],
    ['version', String(vm.version)],
  ]);
