/** Where the server is and what opens it: the environment, or the `endpoint.json` of a data folder. */
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import type { Environment } from './environment.ts';
import { NoServer, UsageError } from './errors.ts';

export interface Endpoint {
  /** Without a slash at its end. */
  readonly url: string;
  readonly token: string;
  /** What to do if nobody answers there. */
  readonly remedy: string;
}

/**
 * A folder named on the command line outranks the environment's CANDOR_URL; a folder of the environment does not.
 * @param flagDataDir what `--data-dir` said
 * @throws UsageError where CANDOR_URL is no URL or has no token, NoServer where there is no usable `endpoint.json`
 */
export async function findEndpoint(environment: Environment, flagDataDir: string | undefined): Promise<Endpoint> {
  if (environment.url === undefined || flagDataDir !== undefined)
    return readEndpointFile(flagDataDir ?? environment.dataDir);
  if (environment.token === undefined)
    throw new UsageError('CANDOR_URL is set, and CANDOR_TOKEN is not.', {
      remedy: 'Set CANDOR_TOKEN, or unset CANDOR_URL to use the endpoint.json of a data folder.',
    });
  return {
    url: checkedUrl(environment.url, 'CANDOR_URL'),
    token: environment.token,
    remedy: `Check CANDOR_URL (${environment.url}), or unset it and start a server here: candor dev --data-dir ${environment.dataDir}`,
  };
}

async function readEndpointFile(dataDir: string): Promise<Endpoint> {
  const file = path.join(dataDir, 'endpoint.json');
  const remedy = `Start a server: candor dev --data-dir ${quoted(dataDir)}  (or set CANDOR_URL and CANDOR_TOKEN)`;
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (cause) {
    const absent = cause instanceof Error && 'code' in cause && (cause.code === 'ENOENT' || cause.code === 'ENOTDIR');
    if (absent) throw new NoServer(`No server is known: there is no ${file}.`, { remedy, cause });
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new NoServer(`${file} cannot be read: ${reason}`, { remedy: 'Make it readable to you.', cause });
  }
  const content = parsed(text);
  if (typeof content.url !== 'string' || typeof content.token !== 'string')
    throw new NoServer(`${file} is damaged: it has no url and token.`, { remedy });
  return { url: checkedUrl(content.url, file), token: content.token, remedy };
}

function parsed(text: string): { readonly url?: unknown; readonly token?: unknown } {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? value : {};
  } catch {
    return {};
  }
}

function checkedUrl(text: string, source: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || !/^https?:$/.test(url.protocol) || url.username !== '')
    throw new UsageError(`${source} does not hold an http or https URL.`, {
      remedy: 'Write it as http://127.0.0.1:7171, the token apart.',
    });
  return `${url.origin}${url.pathname.replace(/\/+$/, '')}`;
}

const quoted = (text: string): string => (/^[\w./@-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`);
