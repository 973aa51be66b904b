/**
 * Runs that a run has started (design.md §5.6). They are counted in an item beside the parent, in the transactions that
 * create and end them: so the count is right whatever is delivered twice or dies in between. They are complete when the
 * list is sealed, by order or by the parent's end, and none of them is pending; that is written down once.
 */
import { isTerminal } from '../contract/runs.ts';
import { CandorError } from '../errors.ts';
import type { Ports } from '../ports.ts';
import { commit } from '../table/commit.ts';
import * as keys from '../table/itemKeys.ts';
import { absent, eq, type Guard, guard, type Write } from '../table/model.ts';
import { asItem, asRow, type RowBase, SCHEMA_VERSION } from '../table/rows.ts';
import { changeRun } from './change.ts';
import { appendNote } from './events.ts';
import type { RunRow } from './model.ts';

export interface ChildrenRow extends RowBase {
  readonly created: number;
  /** Those that have not ended. */
  readonly pending: number;
  readonly sealedAt?: number;
  readonly sealedBy?: string;
  readonly completedAt?: number;
  readonly writer?: string;
}

/** @throws CandorError where this attempt may start no (further) runs */
export function checkMayStart(ports: Ports, parent: RunRow, attempt: number, children: ChildrenRow | undefined): void {
  if (isTerminal(parent.status))
    throw new CandorError('run_ended', `Run ${parent.id} has ended: it starts no further runs.`, {
      remedy: 'Start the run with the credential of a principal.',
      facts: { runId: parent.id, currentStatus: parent.status },
    });
  if (parent.attempt !== attempt)
    throw new CandorError('forbidden', `The token is of attempt ${attempt} of ${parent.id}, which was given up.`, {
      remedy: 'Stop this process: another attempt does its work.',
    });
  if (parent.status === 'cancelling')
    throw new CandorError('illegal_transition', `Run ${parent.id} is being cancelled: it starts no further runs.`);
  if (children?.sealedAt !== undefined)
    throw new CandorError(
      'illegal_transition',
      `The children of ${parent.id} are sealed: no further one can be added.`,
      {
        remedy: 'Seal the list only after the last child has been started.',
        facts: { created: children.created },
      },
    );
  const { maxChildrenPerRun, maxRunDepth } = ports.config;
  if ((children?.created ?? 0) >= maxChildrenPerRun)
    throw new CandorError(
      'children_limit',
      `Run ${parent.id} has started ${maxChildrenPerRun} runs, which is the limit.`,
    );
  if ((parent.depth ?? 0) + 1 > maxRunDepth)
    throw new CandorError(
      'children_limit',
      `Run ${parent.id} stands ${maxRunDepth} generations deep, which is the limit.`,
    );
}

/** With the child's creation. The first one marks the parent; the others need not touch its row, only see that it lives. */
export function childCreation(
  ports: Ports,
  parent: RunRow,
  children: ChildrenRow | undefined,
  childId: string,
  now: number,
  writer: string,
): readonly Write[] {
  const base = { schemaVersion: SCHEMA_VERSION, tenantId: parent.tenantId };
  const listed: Write = { kind: 'put', item: asItem({ ...keys.runChild(parent.id, childId), ...base }) };
  if (children === undefined) {
    const row: ChildrenRow = { ...keys.runChildren(parent.id), ...base, created: 1, pending: 1 };
    const change = { type: 'run.first_child', set: { hasChildren: true }, detail: { childRunId: childId } };
    return [
      ...changeRun(ports.config, parent, change, now, writer),
      { kind: 'put', item: asItem(row), guards: [guard('children.countedOnce', absent)] },
      listed,
    ];
  }
  return [
    {
      kind: 'check',
      key: keys.run(parent.id),
      guards: [
        guard('children.parentLives', { op: 'in', attribute: 'status', values: ['starting', 'running'] }),
        guard('children.parentsAttempt', eq('attempt', parent.attempt)),
      ],
    },
    {
      kind: 'update',
      key: keys.runChildren(parent.id),
      add: { created: 1, pending: 1 },
      guards: [
        guard('children.notSealed', { op: 'hasNot', attribute: 'sealedAt' }),
        guard('children.room', { op: 'lt', attribute: 'created', value: ports.config.maxChildrenPerRun }),
      ],
    },
    listed,
  ];
}

/** With a child's end: whoever is the last one of a sealed list says that all are complete. */
export function childEnds(
  ports: Ports,
  child: RunRow,
  children: ChildrenRow | undefined,
  now: number,
  writer: string,
): readonly Write[] {
  const parentId = child.parentRunId;
  if (parentId === undefined || children === undefined) return [];
  const last = children.sealedAt !== undefined && children.pending === 1;
  const guards: readonly Guard[] = last
    ? [guard('children.lastOne', eq('pending', 1))]
    : [
        guard('children.notLastOne', {
          op: 'or',
          any: [
            { op: 'hasNot', attribute: 'sealedAt' },
            { op: 'gt', attribute: 'pending', value: 1 },
          ],
        }),
      ];
  const key = keys.runChildren(parentId);
  const update: Write = {
    kind: 'update',
    key,
    add: { pending: -1 },
    guards,
    ...(last && { set: { completedAt: now } }),
  };
  return last ? [update, completeNote(ports, parentId, child.tenantId, children.created, now, writer)] : [update];
}

/** Seals the list, with the parent's end or by order. Nothing to do where it is sealed, or where there is none. */
export function sealing(
  ports: Ports,
  parent: Pick<RunRow, 'id' | 'tenantId'>,
  children: ChildrenRow | undefined,
  by: string,
  now: number,
  writer: string,
): readonly Write[] {
  if (children === undefined || children.sealedAt !== undefined) return [];
  const complete = children.pending === 0;
  const update: Write = {
    kind: 'update',
    key: keys.runChildren(parent.id),
    set: { sealedAt: now, sealedBy: by, writer, ...(complete && { completedAt: now }) },
    guards: [
      guard('children.sealedOnce', { op: 'hasNot', attribute: 'sealedAt' }),
      guard('children.pendingAsRead', eq('pending', children.pending)),
      guard('children.createdAsRead', eq('created', children.created)),
    ],
  };
  return complete ? [update, completeNote(ports, parent.id, parent.tenantId, children.created, now, writer)] : [update];
}

/** The one "all children complete" event. */
function completeNote(
  ports: Ports,
  parentId: string,
  tenantId: string,
  created: number,
  now: number,
  writer: string,
): Write {
  const facts = {
    tenantId,
    subject: 'run',
    subjectId: parentId,
    sequence: 0,
    type: 'run.children_complete',
    at: now,
    detail: { created },
    writer,
  } as const;
  const note = appendNote(ports.config, keys.childrenComplete(parentId), facts);
  return note.kind === 'put' ? { ...note, guards: [guard('children.completeOnce', absent)] } : note;
}

/** Seals a run's children by order. Repeating it is harmless. */
export async function sealChildren(ports: Ports, run: RunRow, by: string): Promise<void> {
  await commit<void>(ports, async (writer) => {
    const children = asRow<ChildrenRow>(await ports.store.get(keys.runChildren(run.id)));
    const now = ports.time.now();
    if (children !== undefined) {
      const writes = sealing(ports, run, children, by, now, writer);
      return writes.length === 0 ? { done: undefined } : { writes, proof: keys.runChildren(run.id), result: undefined };
    }
    const parent = asRow<RunRow>(await ports.store.get(keys.run(run.id)));
    if (parent === undefined || isTerminal(parent.status)) return { done: undefined };
    // Before its first child: a list that is empty and complete, so that none can be added any more.
    const row: ChildrenRow = {
      ...keys.runChildren(run.id),
      schemaVersion: SCHEMA_VERSION,
      tenantId: run.tenantId,
      created: 0,
      pending: 0,
      sealedAt: now,
      sealedBy: by,
      completedAt: now,
      writer,
    };
    const change = { type: 'run.children_sealed', set: { hasChildren: true }, detail: { by } };
    return {
      writes: [
        ...changeRun(ports.config, parent, change, now, writer),
        { kind: 'put', item: asItem(row), guards: [guard('children.countedOnce', absent)] },
        completeNote(ports, run.id, run.tenantId, 0, now, writer),
      ],
      proof: keys.runChildren(run.id),
      result: undefined,
    };
  });
}
