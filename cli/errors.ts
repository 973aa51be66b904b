/** Exit codes, and the errors that end the command with one of them. */

export const EXIT = {
  ok: 0,
  /** The run that was waited for ended other than it should. */
  runNotSucceeded: 1,
  /** The same number for who asked how the system is: it answers, and something is not well. */
  notWell: 1,
  /** And for who wanted dead letters gone: some are still there. */
  lettersStay: 1,
  usage: 2,
  noServer: 3,
  /** Not found, or the API refused (4xx). */
  refused: 4,
  /** The server failed (5xx). */
  serverFailed: 5,
  /** This program failed: a bug, or a full disk, or a file that it may not touch. Not 1, which speaks of the run. */
  internal: 70,
  interrupted: 130,
} as const;

export const EXIT_CODES_HELP = `
Exit codes:
  0    done
  1    the run (with --wait or watch) ended other than succeeded;
       \`candor dev\` could not start or lost its engine;
       \`candor doctor\` or \`candor audit\` found something that is not well;
       \`candor dlq redrive\` left a letter
  2    the command line is wrong
  3    no server answers
  4    not found, or the API refused (4xx)
  5    the server failed (5xx)
  70   the command itself failed
  130  interrupted (Ctrl-C)`;

/** RFC 9457, with Candor's members. Everything but `status` may be missing: a proxy may have answered. */
export interface Problem {
  readonly type?: string;
  readonly title?: string;
  readonly status: number;
  readonly detail?: string;
  readonly code?: string;
  readonly errors?: readonly { readonly pointer: string; readonly message: string }[];
  readonly remedy?: string;
  readonly retryable?: boolean;
  readonly requestId?: string;
  readonly [member: string]: unknown;
}

export interface CliErrorOptions {
  /** What to do about it, as an imperative sentence. */
  readonly remedy?: string;
  readonly cause?: unknown;
}

/** Base class of everything that ends the command on purpose. */
export class CliError extends Error {
  readonly code: string;
  readonly exitCode: number;
  readonly remedy: string | undefined;

  constructor(code: string, exitCode: number, detail: string, options: CliErrorOptions = {}) {
    super(detail, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = new.target.name;
    this.code = code;
    this.exitCode = exitCode;
    this.remedy = options.remedy;
  }
}

export class UsageError extends CliError {
  constructor(detail: string, options: CliErrorOptions = {}) {
    super('usage', EXIT.usage, detail, options);
  }
}

/** Nobody answers, or nobody is known who could. */
export class NoServer extends CliError {
  constructor(detail: string, options: CliErrorOptions = {}) {
    super('no_server', EXIT.noServer, detail, options);
  }
}

/** A file of this machine cannot be written or read. */
export class FileError extends CliError {
  constructor(file: string, cause: unknown, options: Pick<CliErrorOptions, 'remedy'> = {}) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    super('file', EXIT.internal, `${file}: ${reason}`, { ...options, cause });
  }
}

/** A name stands for nothing, or for more than one thing. */
export class NotResolved extends CliError {
  constructor(detail: string, options: CliErrorOptions = {}) {
    super('not_found', EXIT.refused, detail, options);
  }
}

/** The API answered with an error. */
export class ApiProblem extends CliError {
  readonly problem: Problem;
  /** From the answer's ETag, where the API named the version that stands. */
  readonly etag: string | undefined;

  constructor(problem: Problem, etag?: string) {
    super(
      problem.code ?? `http_${problem.status}`,
      problem.status >= 500 ? EXIT.serverFailed : EXIT.refused,
      problem.detail ?? problem.title ?? `HTTP ${problem.status}`,
      problem.remedy === undefined ? {} : { remedy: problem.remedy },
    );
    this.problem = problem;
    this.etag = etag;
  }
}

/** Something answered, but not as Candor does. */
export class StrangeAnswer extends CliError {
  constructor(detail: string, options: CliErrorOptions = {}) {
    super('strange_answer', EXIT.serverFailed, detail, options);
  }
}

/** SIGINT. */
export class Interrupted extends CliError {
  constructor() {
    super('interrupted', EXIT.interrupted, 'interrupted');
  }
}
