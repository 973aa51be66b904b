/** Prints a run's captured output: as it was written into a file or pipe, made safe for a terminal. */
import type { LogRecordBody } from '../core/contract/runs.ts';
import type { Output } from './output.ts';
import { recordBytes } from './render/runs.ts';
import { multiline } from './text.ts';

export interface LogPrinterOptions {
  readonly json: boolean;
  /** Writes also to a terminal what was captured, escape sequences and all. */
  readonly raw: boolean;
  readonly timestamps: boolean;
}

/** Takes records in their order. */
export class LogPrinter {
  readonly #out: Output;
  readonly #options: LogPrinterOptions;
  /** The stream whose line has not ended yet. */
  #open: LogRecordBody['stream'] | undefined;

  constructor(out: Output, options: LogPrinterOptions) {
    this.#out = out;
    this.#options = options;
  }

  async print(records: readonly LogRecordBody[]): Promise<void> {
    for (const record of records) {
      if (this.#options.json) await this.#out.jsonLine(record);
      // What Candor remarks is not output of the run: a pipe gets what the run has written and nothing else.
      else if (record.stream === 'candor') this.#out.note(`[candor] ${recordBytes(record).toString('utf8')}`);
      else await this.#out.write(this.#form(record));
    }
  }

  /** So that the prompt of a terminal does not follow on an unfinished line. */
  async end(): Promise<void> {
    const unfinished = this.#open !== undefined && (this.#out.toTerminal || this.#options.timestamps);
    if (unfinished && !this.#options.json) await this.#out.write('\n');
  }

  #form(record: LogRecordBody): string | Uint8Array {
    const bytes = recordBytes(record);
    const safe = this.#options.raw || !this.#out.toTerminal;
    if (this.#options.timestamps) {
      const text = bytes.toString('utf8');
      return this.#stamped(record, safe ? text : multiline(text));
    }
    this.#open = bytes.at(-1) === 0x0a ? undefined : record.stream;
    return safe ? bytes : multiline(bytes.toString('utf8'));
  }

  /** Every line begins with its time since the start of the work and its stream. */
  #stamped(record: LogRecordBody, text: string): string {
    const stamp = `+${(record.atMs / 1000).toFixed(3)}s ${record.stream === 'stderr' ? 'err' : 'out'} | `;
    const goesOn = this.#open === record.stream;
    const breaks = this.#open !== undefined && !goesOn ? '\n' : '';
    const endsLine = text.endsWith('\n');
    this.#open = endsLine ? undefined : record.stream;
    const lines = (endsLine ? text.slice(0, -1) : text).split('\n');
    const stamped = lines.map((line, index) => (index === 0 && goesOn ? line : `${stamp}${line}`)).join('\n');
    return `${breaks}${stamped}${endsLine ? '\n' : ''}`;
  }
}
