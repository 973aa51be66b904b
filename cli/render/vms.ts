/** VMs and the system's parts for people. */
import type { VmBody } from '../../core/contract/runs.ts';
import type { Page } from '../client.ts';
import { fields, inline, type Paint, relative, status, statusCell, table, when } from '../text.ts';
import { evidenceFields } from './runs.ts';

export const vmTable = (paint: Paint, page: Page<VmBody>): string =>
  table(
    paint,
    ['ID', 'STATUS', 'AGENT', 'RUNS', 'LEASE', 'CREATED', 'EVIDENCE'],
    page.items.map((vm) => [
      vm.id,
      statusCell(vm.status),
      vm.agentId,
      vm.runs.map((run) => run.runId).join(' '),
      leaseText(vm, page.asOf),
      relative(vm.createdAt, page.asOf),
      `${vm.evidence.source} ${relative(vm.evidence.observedAt, page.asOf)}`,
    ]),
  );

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
    ['runs', vm.runs.map((run) => `${run.runId} (attempt ${run.attempt})`).join('\n') || 'none'],
    ['lease', vm.leaseUntil && `${leaseText(vm, vm.asOf) ?? 'over'}, ${when(vm.leaseUntil, vm.asOf)}`],
    ['generation', String(vm.generation)],
    ['created', when(vm.createdAt, vm.asOf)],
    ['terminated', vm.terminatedAt && when(vm.terminatedAt, vm.asOf)],
    ['version', String(vm.version)],
  ]);

/** `GET /v1/system`. */
export interface SystemBody {
  readonly parts: readonly {
    readonly name: string;
    readonly owner: string;
    readonly lastProofAt?: string;
    readonly detail: Readonly<Record<string, string | number>>;
  }[];
  readonly asOf: string;
}

export const systemTable = (paint: Paint, system: SystemBody): string =>
  table(
    paint,
    ['PART', 'OWNER', 'LAST PROOF OF LIFE', 'DETAIL'],
    system.parts.map((part) => [
      part.name,
      part.owner,
      part.lastProofAt === undefined
        ? { text: 'has never published one', colour: 'yellow' }
        : when(part.lastProofAt, system.asOf),
      Object.entries(part.detail)
        .map(([name, value]) => `${name}=${value}`)
        .join(' '),
    ]),
  );
