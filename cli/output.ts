/** Where the command's words go: data to stdout, everything else to stderr. */
import { once } from 'node:events';
import type { Environment } from './environment.ts';
import { ApiProblem, type CliError, EXIT, type Problem } from './errors.ts';
import { inline, multiline, type Paint, painter } from './text.ts';

export class Output {
  /** For stdout. */
  readonly paint: Paint;
  readonly paintErrors: Paint;
  readonly toTerminal: boolean;

  constructor(colour: Environment['colour']) {
    const coloured = (isTerminal: boolean | undefined) =>
      colour === 'always' || (colour === 'auto' && isTerminal === true);
    this.toTerminal = process.stdout.isTTY === true;
    this.paint = painter(coloured(process.stdout.isTTY));
    this.paintErrors = painter(coloured(process.stderr.isTTY));
  }

  /** Writes data. It waits while a pipe is full, so that a slow reader does not fill the memory. */
  async write(data: string | Uint8Array): Promise<void> {
    if (data.length > 0 && !process.stdout.write(data)) await once(process.stdout, 'drain');
  }

  line(text: string): Promise<void> {
    return this.write(`${text}\n`);
  }

  /** One JSON document: indented for a terminal, on one line for a program. */
  json(value: unknown): Promise<void> {
    return this.line(JSON.stringify(value, null, this.toTerminal ? 2 : undefined));
  }

  /** One JSON document on one line, for streams of them. */
  jsonLine(value: unknown): Promise<void> {
    return this.line(JSON.stringify(value));
  }

  /** Progress, hints and warnings. */
  note(text: string): void {
    process.stderr.write(`${multiline(text)}\n`);
  }

  /** What ended the command. With `json` it is one problem object, also where the API has not said it. */
  error(error: CliError, json: boolean): void {
    process.stderr.write(`${json ? JSON.stringify(problemOf(error)) : this.#explained(error)}\n`);
  }

  #explained(error: CliError): string {
    const paint = this.paintErrors;
    const problem = problemOf(error);
    const status = error instanceof ApiProblem ? ` (${[problem.code, problem.status].filter(Boolean).join(', ')})` : '';
    const indent = (text: string) => `  ${multiline(text).replaceAll('\n', '\n  ')}`;
    const detail = problem.detail === problem.title ? undefined : problem.detail;
    return [
      `${paint('red', 'candor:')} ${inline(problem.title ?? 'failed')}${inline(status)}`,
      ...(detail === undefined ? [] : [indent(detail)]),
      ...(problem.errors ?? []).map((each) => indent(`${each.pointer}: ${each.message}`)),
      ...factsOf(problem).map(indent),
      ...(problem.remedy === undefined ? [] : [indent(`Remedy: ${problem.remedy}`)]),
      ...(problem.requestId === undefined ? [] : [paint('dim', indent(`Request: ${problem.requestId}`))]),
    ].join('\n');
  }
}

/** An error of our own in the same form as the API's; it has no `status`, because nobody answered with one. */
function problemOf(error: CliError): Partial<Problem> {
  if (error instanceof ApiProblem) return error.problem;
  return {
    title: error.message,
    code: error.code,
    ...(error.remedy !== undefined && { remedy: error.remedy }),
  };
}

const RFC_MEMBERS = ['type', 'title', 'status', 'detail', 'instance'];
const OWN_MEMBERS = ['code', 'errors', 'remedy', 'retryable', 'requestId', 'retryAfterSeconds'];

/** What else the API says, such as the blocking run: the next step needs it. */
function factsOf(problem: Partial<Problem>): readonly string[] {
  return Object.entries(problem)
    .filter(([name, value]) => ![...RFC_MEMBERS, ...OWN_MEMBERS].includes(name) && value !== undefined)
    .map(([name, value]) => `${name}: ${typeof value === 'string' ? value : JSON.stringify(value)}`);
}

/** A reader that has seen enough (`| head`) closes the pipe: that is no failure, and nobody is there to be told. */
export function endQuietlyOnBrokenPipe(): void {
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(EXIT.ok);
    process.stderr.write(`candor: standard output cannot be written: ${error.message}\n`);
    process.exit(EXIT.internal);
  });
  // Whoever does not listen to the notes still wants the data.
  process.stderr.on('error', () => undefined);
}
