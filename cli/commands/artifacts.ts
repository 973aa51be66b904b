/** `candor runs artifacts, artifact`: the files that a run has left. */
import { createHash } from 'node:crypto';
import type { Command } from 'commander';
import { type ArtifactBody, isTerminal } from '../../core/contract/runs.ts';
import { NotResolved, StrangeAnswer, UsageError } from '../errors.ts';
import { downloadTarget, writeWhole } from '../files.ts';
import type { Output } from '../output.ts';
import { artifactTable } from '../render/runAnswers.ts';
import type { Host, Session } from '../session.ts';
import { inline, multiline } from '../text.ts';
import { examples, subcommand } from './options.ts';

/** Adds the commands to the group. */
export function addArtifacts(runs: Command, host: Host): void {
  const list = subcommand(runs, 'artifacts <run>', 'the files that it has left');
  host.serve(list, async ({ client, out, json }, [id = '']) => {
    const { artifacts = [], status, asOf } = await client.call('getRun', { path: { runId: id } });
    if (json) return void (await out.json({ items: artifacts, asOf }));
    if (artifacts.length > 0) return void (await out.line(artifactTable(out.paint, artifacts)));
    out.note(isTerminal(status) ? 'There are none.' : 'There are none yet: the run has not ended.');
    return undefined;
  });
  const one = subcommand(runs, 'artifact <run> <path>', 'one of the files, checked against its SHA-256').option(
    '-o, --output <file>',
    'write it there, when all of it has arrived (default: standard output)',
  );
  examples(
    one,
    'candor runs artifact run_… out/report.pdf -o report.pdf',
    'candor runs artifact run_… result.json | jq .',
  );
  host.serve<{ readonly output?: string }>(one, async (session, [id = '', path = ''], { output }) => {
    const target = output === undefined || output === '-' ? undefined : await downloadTarget(output);
    const artifact = await findArtifact(session, id, path);
    const response = await session.client.openArtifact(id, path);
    const content = checked(session.client.bodyOf(response), artifact);
    if (target === undefined) return void (await printContent(session.out, content, artifact));
    await writeWhole(target, content);
    if (session.json) await session.out.json({ ...artifact, file: target });
    else session.out.note(`Wrote ${target}: ${artifact.bytes} bytes, SHA-256 ${artifact.sha256}.`);
    return undefined;
  });
}

async function findArtifact({ client }: Session, runId: string, path: string): Promise<ArtifactBody> {
  const { artifacts = [], status } = await client.call('getRun', { path: { runId } });
  const found = artifacts.find((each) => each.path === path);
  if (found !== undefined) return found;
  const yet = isTerminal(status) ? '' : ' yet: it has not ended';
  throw new NotResolved(`The run ${runId} has no artifact "${inline(path)}"${yet}.`, {
    remedy: `List them: candor runs artifacts ${runId}`,
  });
}

/** Passes the bytes on, and at their end refuses them if they are not those that the run has left. */
async function* checked(content: AsyncIterable<Uint8Array>, artifact: ArtifactBody): AsyncGenerator<Uint8Array> {
  const hash = createHash('sha256');
  let bytes = 0;
  for await (const chunk of content) {
    hash.update(chunk);
    bytes += chunk.length;
    yield chunk;
  }
  const sha256 = hash.digest('hex');
  if (sha256 === artifact.sha256) return;
  throw new StrangeAnswer(
    `What arrived is not the artifact: its ${bytes} bytes have the SHA-256 ${sha256}, and the run left ${artifact.bytes} bytes with ${artifact.sha256}.`,
    { remedy: 'Do not use it. Try again; if it stays so, the stored copy is damaged.' },
  );
}

/** Into a file or pipe byte by byte; on a terminal only text, with everything written out that would control it. */
async function printContent(out: Output, content: AsyncIterable<Uint8Array>, artifact: ArtifactBody): Promise<void> {
  if (!out.toTerminal) {
    for await (const chunk of content) await out.write(chunk);
    return;
  }
  for await (const text of textOf(content, artifact.path)) await out.write(multiline(text));
}

async function* textOf(content: AsyncIterable<Uint8Array>, path: string): AsyncGenerator<string> {
  const decoder = new TextDecoder('utf-8', { fatal: true });
  const checkedText = (chunk?: Uint8Array): string => {
    const text = decodedBy(() => (chunk === undefined ? decoder.decode() : decoder.decode(chunk, { stream: true })));
    if (text !== undefined && !text.includes('\0')) return text;
    throw new UsageError(`${inline(path)} is not text: it is not for a terminal.`, {
      remedy: 'Write it into a file with -o FILE, or pipe it to a program.',
    });
  };
  for await (const chunk of content) yield checkedText(chunk);
  yield checkedText();
}

function decodedBy(decode: () => string): string | undefined {
  try {
    return decode();
  } catch {
    return undefined;
  }
}
