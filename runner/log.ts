/** The runner's operating log: JSON lines on stderr. Facts never carry a key, a token, an input or an environment. */
export type Facts = Readonly<Record<string, string | number | boolean | undefined>>;

function write(level: 'info' | 'warn' | 'error', event: string, facts: Facts): void {
  process.stderr.write(`${JSON.stringify({ at: new Date().toISOString(), level, event, ...facts })}\n`);
}

export const log = {
  info: (event: string, facts: Facts = {}) => write('info', event, facts),
  warn: (event: string, facts: Facts = {}) => write('warn', event, facts),
  error: (event: string, facts: Facts = {}) => write('error', event, facts),
};
