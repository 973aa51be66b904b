/** A real `candor dev` on a folder of its own, for the benchmarks that go over its HTTP API. */
import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import type { RunBody } from '../core/contract/runs.ts';

const CANDOR = fileURLToPath(new URL('../cli/candor.mjs', import.meta.url));
const READY_MS_MAX = 30_000;

export class DevServer {
  readonly #folder: string;
  #child: ChildProcess | undefined;
  #enginePid = 0;
  #url = '';
  #token = '';

  constructor(folder: string) {
    this.#folder = folder;
  }

  async start(): Promise<void> {
    const child = spawn(process.execPath, [CANDOR, 'dev', '--data-dir', this.#folder, '--json', '--port', '0'], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#child = child;
    let said = '';
    child.stderr.setEncoding('utf8').on('data', (part: string) => {
      said = (said + part).slice(-4000);
    });
    const line = await new Promise<string>((resolve, reject) => {
      let text = '';
      child.stdout.setEncoding('utf8').on('data', (part: string) => {
        text += part;
        if (text.includes('\n')) resolve(text);
      });
      child.once('error', reject);
      child.once('exit', (code) => reject(new Error(`candor dev ended with ${code}: ${said}`)));
      AbortSignal.timeout(READY_MS_MAX).addEventListener('abort', () =>
        reject(new Error(`candor dev was not ready within ${READY_MS_MAX / 1000} s`)),
      );
    });
    this.#enginePid = (JSON.parse(line) as { readonly enginePid?: number }).enginePid ?? 0;
    const endpoint = JSON.parse(readFileSync(path.join(this.#folder, 'endpoint.json'), 'utf8')) as {
      readonly url: string;
      readonly token: string;
    };
    this.#url = endpoint.url;
    this.#token = endpoint.token;
  }

  async stop(): Promise<void> {
    const child = this.#child;
    if (child === undefined || child.exitCode !== null) return;
    const gone = new Promise((resolve) => child.once('close', resolve));
    child.removeAllListeners('exit');
    child.kill('SIGTERM');
    await gone;
  }

  run = (agentId: string) => this.#ask<RunBody>('POST', `/v1/agents/${agentId}/runs`, { input: null });
  post = <T>(url: string, body: unknown) => this.#ask<T>('POST', url, body);
  get = <T>(url: string) => this.#ask<T>('GET', url);

  async #ask<T>(method: string, url: string, body?: unknown): Promise<T> {
    const response = await fetch(`${this.#url}${url}`, {
      method,
      headers: { authorization: `Bearer ${this.#token}`, 'content-type': 'application/json' },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    });
    const answer = await response.text();
    if (!response.ok) throw new Error(`${method} ${url}: ${response.status} ${answer}`);
    return JSON.parse(answer) as T;
  }

  get pid(): number {
    return this.#child?.pid ?? 0;
  }

  get enginePid(): number {
    return this.#enginePid;
  }
}
