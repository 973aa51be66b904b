/** A `candor dev` on a folder of its own, for the benchmarks that go over its HTTP API. */
import type { RunBody } from '../core/contract/runs.ts';
import { type Dev, startDev, stopDev } from './dev.ts';

export class DevServer {
  readonly #folder: string;
  #dev: Dev | undefined;

  constructor(folder: string) {
    this.#folder = folder;
  }

  async start(): Promise<void> {
    this.#dev = await startDev(this.#folder, '--port', '0');
  }

  async stop(): Promise<void> {
    if (this.#dev !== undefined) await stopDev(this.#dev.child);
  }

  run = (agentId: string) => this.post<RunBody>(`/v1/agents/${agentId}/runs`, { input: null });
  post = <T>(url: string, body: unknown) => this.#ask<T>('POST', url, body);
  get = <T>(url: string) => this.#ask<T>('GET', url);

  async #ask<T>(method: string, url: string, body?: unknown): Promise<T> {
    const response = await fetch(`${this.#dev?.url}${url}`, {
      method,
      headers: { authorization: `Bearer ${this.#dev?.token}`, 'content-type': 'application/json' },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    });
    const answer = await response.text();
    if (!response.ok) throw new Error(`${method} ${url}: ${response.status} ${answer}`);
    return JSON.parse(answer) as T;
  }

  get pid(): number {
    return this.#dev?.child.pid ?? 0;
  }

  get enginePid(): number {
    return this.#dev?.enginePid ?? 0;
  }
}
