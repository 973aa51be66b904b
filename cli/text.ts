/** Text for people: made safe for a terminal, aligned, with times that can be read. Pure. */

/** Controls, and what turns the direction of writing: with either, one text can pass for another on a terminal. */
const UNSAFE = /[\p{Cc}\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu;
const NAMED: Readonly<Record<string, string>> = { '\n': '\\n', '\t': '\\t', '\r': '\\r' };

const escaped = (char: string): string => {
  const code = char.codePointAt(0) ?? 0;
  return NAMED[char] ?? (code < 0x100 ? `\\x${code.toString(16).padStart(2, '0')}` : `\\u${code.toString(16)}`);
};

/** Text for one line, such as a table's cell: every control character is written out. */
export const inline = (text: string): string => text.replace(UNSAFE, escaped);

/** Text of several lines: line breaks and tabs stay, everything else that controls a terminal is written out. */
export const multiline = (text: string): string =>
  text.replace(/\r(?=\n|$)/g, '').replace(UNSAFE, (char) => (char === '\n' || char === '\t' ? char : escaped(char)));

const WIDE =
  /\p{Emoji_Presentation}|[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6]/u;
const graphemes = new Intl.Segmenter('en');

/** Columns that a text takes on a terminal, as nearly as can be said without asking it. */
export function displayWidth(text: string): number {
  if (/^[\x20-\x7e]*$/.test(text)) return text.length;
  let width = 0;
  for (const { segment } of graphemes.segment(text)) width += WIDE.test(segment) ? 2 : /^\p{Mn}/u.test(segment) ? 0 : 1;
  return width;
}

const COLOURS = { red: 31, green: 32, yellow: 33, cyan: 36, dim: 2, bold: 1 } as const;
export type Colour = keyof typeof COLOURS;
/** Puts a colour around a text, or leaves it as it is. */
export type Paint = (colour: Colour, text: string) => string;

export const painter =
  (coloured: boolean): Paint =>
  (colour, text) =>
    coloured && text !== '' ? `\u001b[${COLOURS[colour]}m${text}\u001b[0m` : text;

const STATUS_COLOURS: Readonly<Record<string, Colour>> = {
  succeeded: 'green',
  active: 'green',
  ready: 'green',
  dispatched: 'green',
  running: 'cyan',
  starting: 'cyan',
  provisioning: 'cyan',
  launching: 'cyan',
  booting: 'cyan',
  buffered: 'cyan',
  cancelling: 'yellow',
  cancelled: 'yellow',
  paused: 'yellow',
  skipped: 'yellow',
  draining: 'yellow',
  pending: 'yellow',
  failed: 'red',
  timed_out: 'red',
  lost: 'red',
  missed: 'red',
  unresponsive: 'red',
  deleting: 'dim',
  deleted: 'dim',
  terminated: 'dim',
};

/** A status word in its colour; one that is not known stays plain. */
export const status = (paint: Paint, word: string): string => statusPainted(paint, word, word);

/** Another text in the colour of a status. */
export function statusPainted(paint: Paint, word: string, text: string): string {
  const colour = STATUS_COLOURS[word];
  return colour === undefined ? inline(text) : paint(colour, inline(text));
}

/** A cell is a text, or a text with the form that is printed: widths are those of the text. */
export type Cell = string | undefined | { readonly text: string; readonly colour: Colour | undefined };

export const statusCell = (word: string): Cell => ({ text: word, colour: STATUS_COLOURS[word] });

/** An aligned table with a head. Cells are made safe here, so that no caller can forget it. */
export function table(paint: Paint, head: readonly string[], rows: readonly (readonly Cell[])[]): string {
  const plain = rows.map((row) => head.map((_, column) => inline(cellText(row[column]))));
  const widths = head.map((title, column) =>
    Math.max(displayWidth(title), ...plain.map((row) => displayWidth(row[column] ?? ''))),
  );
  const line = (texts: readonly string[], form: (text: string, column: number) => string): string =>
    texts
      .map((text, column) => {
        // The last column is not padded: nothing stands behind it, and long lines wrap needlessly.
        const padding = column === texts.length - 1 ? 0 : (widths[column] ?? 0) - displayWidth(text);
        return form(text, column) + ' '.repeat(Math.max(0, padding));
      })
      .join('  ')
      .trimEnd();
  const body = plain.map((texts, row) => line(texts, (text, column) => coloured(paint, rows[row]?.[column], text)));
  return [line(head, (title) => paint('bold', title)), ...body].join('\n');
}

const cellText = (cell: Cell): string =>
  (cell === undefined ? '-' : typeof cell === 'string' ? cell : cell.text) || '-';
const coloured = (paint: Paint, cell: Cell, text: string): string =>
  typeof cell === 'object' && cell.colour !== undefined ? paint(cell.colour, text) : text;

/** One fact of a resource. An absent value leaves the line out; one of several lines is indented under its label. */
export type Field = readonly [label: string, value: string | undefined];

/** Aligned `label  value` lines. Values must already be safe: they may carry colours. */
export function fields(paint: Paint, list: readonly Field[]): string {
  const shown = list.filter((field): field is readonly [string, string] => field[1] !== undefined);
  const width = Math.max(0, ...shown.map(([label]) => label.length));
  return shown
    .map(([label, value]) => {
      const indented = value.split('\n').join(`\n${' '.repeat(width + 2)}`);
      return `${paint('dim', label.padEnd(width))}  ${indented}`;
    })
    .join('\n');
}

/** A span of time in its two largest units: `1h 5m`. */
export function span(ms: number): string {
  const seconds = Math.floor(Math.abs(ms) / 1000);
  if (seconds < 1) return '0s';
  const parts = [
    [Math.floor(seconds / 86_400), 'd'],
    [Math.floor((seconds % 86_400) / 3600), 'h'],
    [Math.floor((seconds % 3600) / 60), 'm'],
    [seconds % 60, 's'],
  ] as const;
  const first = parts.findIndex(([count]) => count > 0);
  return parts
    .slice(first, first + 2)
    .filter(([count]) => count > 0)
    .map(([count, unit]) => `${count}${unit}`)
    .join(' ');
}

/** `2027-01-31 09:00:00Z`, to the second; what is no time is shown as it came. */
export function absolute(iso: string): string {
  const ms = Date.parse(iso);
  if (Number.isNaN(ms)) return inline(iso);
  return new Date(ms)
    .toISOString()
    .replace('T', ' ')
    .replace(/\.\d+Z$/, 'Z');
}

/**
 * How far a time is from another: `5m ago`, `in 2h`.
 * @param asOf the server's time of the answer: this machine's own clock may be wrong
 */
export function relative(iso: string, asOf: string | undefined): string {
  const away = Date.parse(iso) - (asOf === undefined ? Date.now() : Date.parse(asOf));
  if (Number.isNaN(away)) return '';
  if (Math.abs(away) < 1000) return 'now';
  return away < 0 ? `${span(away)} ago` : `in ${span(away)}`;
}

/** Both: `2027-01-31 09:00:00Z (5m ago)`. */
export function when(iso: string, asOf: string | undefined): string {
  const away = relative(iso, asOf);
  return away === '' ? absolute(iso) : `${absolute(iso)} (${away})`;
}

/** A JSON value for people: a text as it is, anything else as indented JSON. Made safe. */
export const jsonText = (value: unknown): string =>
  multiline(typeof value === 'string' ? value : (JSON.stringify(value, null, 2) ?? ''));

/** A command line as one would type it into a shell. */
export const commandLine = (argv: readonly string[]): string =>
  inline(argv.map((word) => (/^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`)).join(' '));
