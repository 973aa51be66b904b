/** What was asked for while a run waited for a VM: gathered over all tries, shown while it waits and when it ends without one. */
import type { RunRow } from '../runs/model.ts';
import { type Tried, triedText } from './launchErrors.ts';

/** A row, and a sentence, have an end. What was heard last stays. */
const TRIED_MAX = 60;

export const triedOf = (waiting: RunRow['waiting']): readonly Tried[] =>
  (waiting?.tried ?? []).map((each) => (typeof each === 'string' ? { code: each } : each));

/** Each pool with each of its answers once, those of the last try at the end. */
export function gathered(before: readonly Tried[], now: readonly Tried[]): readonly Tried[] {
  const byText = new Map<string, Tried>();
  for (const each of [...before, ...now]) {
    const text = triedText(each);
    byText.delete(text);
    byText.set(text, each);
  }
  return [...byText.values()].slice(-TRIED_MAX);
}

/** For the end of a sentence; nothing where nothing was tried. */
export function triedSuffix(run: Pick<RunRow, 'waiting'>): string {
  const tried = triedOf(run.waiting);
  return tried.length === 0 ? '' : `; tried: ${tried.map(triedText).join(', ')}`;
}
