/** What the API answers when it is asked about a run: the reason of its state, its children, its files. */
import type { ArtifactBody, ChildrenBody, RunExplainBody } from '../../core/contract/runs.ts';
import { type Field, fields, inline, type Paint, status, table, when } from '../text.ts';
import { runTable } from './runs.ts';

/** The answer in one sentence, then each fact with who saw it, then what can be done. */
export function runExplainText(paint: Paint, explain: RunExplainBody): string {
  const facts = fields(paint, [
    ['status', status(paint, explain.status)],
    ...explain.facts.map((fact) => factField(fact, explain.asOf)),
    ['remedy', explain.remedy && inline(explain.remedy)],
  ]);
  return `${paint('bold', inline(explain.summary))}\n\n${facts}`;
}

function factField({ about, text, evidence }: RunExplainBody['facts'][number], asOf: string): Field {
  if (evidence === undefined) return [inline(about), inline(text)];
  const seen = `${evidence.source}, observed ${when(evidence.observedAt, asOf)}`;
  // A fact that is told in the words of its evidence needs them once.
  const detail = text.includes(evidence.detail) ? '' : `: ${evidence.detail}`;
  return [inline(about), `${inline(text)}\n${inline(`${seen}${detail}`)}`];
}

/** How many there are and whether more can come; then the runs. */
export function childrenText(paint: Paint, children: ChildrenBody): string {
  const { created, pending, sealed, completedAt, asOf } = children;
  const counts = fields(paint, [
    ['children', `${created}, ${pending} of them not ended`],
    ['sealed', sealed ? 'yes: none can be added' : 'no: more may come'],
    ['completed', completedAt === undefined ? 'no' : when(completedAt, asOf)],
  ]);
  return children.items.length === 0 ? counts : `${counts}\n\n${runTable(paint, children)}`;
}

export const artifactTable = (paint: Paint, artifacts: readonly ArtifactBody[]): string =>
  table(
    paint,
    ['PATH', 'BYTES', 'SHA-256'],
    artifacts.map(({ path, bytes, sha256 }) => [path, String(bytes), sha256]),
  );
