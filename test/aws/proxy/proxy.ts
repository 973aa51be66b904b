/**
 * A proxy between the emulated Lambdas and the emulator, in the test's own process. It counts what passes, lets happen what
 * the test has ordered, and adds what AWS documents and the emulator lacks: see {@link FleetModel}.
 */
import http from 'node:http';
import type { Socket } from 'node:net';
import { Faults } from './faults.ts';
import { FleetModel } from './fleet.ts';
import { type Answer, type Call, callOf, errorAnswer, type Request } from './wire.ts';

/**
 * The services that are reached through the proxy, by the SDK's names for them: by the Lambdas, and by Step Functions where
 * it calls one of them (shims.py).
 */
const SERVICES = ['DYNAMODB', 'EC2', 'LAMBDA', 'S3', 'SCHEDULER', 'SECRETS_MANAGER', 'SFN', 'SNS', 'SQS', 'SSM', 'STS'];
/** Between two hops; nothing of the request itself. */
const HOP_HEADERS = ['connection', 'keep-alive', 'transfer-encoding', 'content-length', 'expect'];
const LOG_ENTRIES_MAX = 200_000;

export interface Entry {
  readonly service: string;
  readonly action: string;
  /** Of the answer; undefined where the connection was cut. */
  readonly status: number | undefined;
}

export interface StateReason {
  readonly code: string;
  readonly message: string;
}

export class AwsProxy {
  readonly faults = new Faults();
  readonly fleet: FleetModel;
  readonly #target: URL;
  readonly #server: http.Server;
  readonly #sockets = new Set<Socket>();
  readonly #agent = new http.Agent({ keepAlive: true });
  readonly #log: Entry[] = [];
  readonly #zones = new Map<string, string | undefined>();
  readonly #stateReasons = new Map<string, StateReason>();

  /** @param targetUrl the emulator; it need not answer yet */
  constructor(targetUrl: string) {
    this.#target = new URL(targetUrl);
    this.fleet = new FleetModel({
      create: (form) => this.#query(form),
      zoneOf: (subnetId) => this.#zoneOf(subnetId),
    });
    this.#server = http.createServer((request, response) => void this.#serve(request, response));
    this.#server.on('connection', (socket) => {
      this.#sockets.add(socket);
      socket.once('close', () => this.#sockets.delete(socket));
    });
  }

  async listen(): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(0, '127.0.0.1', resolve);
    });
  }

  get url(): string {
    const address = this.#server.address();
    if (typeof address !== 'object' || address === null) throw new Error('the proxy does not listen yet');
    return `http://127.0.0.1:${address.port}`;
  }

  /** The variables by which an SDK finds the proxy. */
  get environment(): Readonly<Record<string, string>> {
    return Object.fromEntries(SERVICES.map((name) => [`AWS_ENDPOINT_URL_${name}`, this.url]));
  }

  async close(): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve));
    for (const socket of this.#sockets) socket.destroy();
    this.#agent.destroy();
    await closed;
  }

  /** Why EC2 has ended an instance; where nothing is said, it was asked to. */
  explainEnd(instanceId: string, reason: StateReason): void {
    this.#stateReasons.set(instanceId, reason);
  }

  /** Withdraws every fault and shortage. The log stays. */
  calm(): void {
    this.faults.clear();
    this.fleet.clear();
  }

  /** How many requests have passed so far: to count from here. */
  mark(): number {
    return this.#log.length;
  }

  /** Requests by `service.Action`, from a mark on. A request that met a fault counts as well: it was made. */
  counts(mark = 0): Readonly<Record<string, number>> {
    const counts: Record<string, number> = {};
    for (const { service, action } of this.#log.slice(mark)) {
      const name = `${service}.${action}`;
      counts[name] = (counts[name] ?? 0) + 1;
    }
    return Object.fromEntries(Object.entries(counts).sort(([a], [b]) => (a < b ? -1 : 1)));
  }

  entries(mark = 0): readonly Entry[] {
    return this.#log.slice(mark);
  }

  async #serve(incoming: http.IncomingMessage, response: http.ServerResponse): Promise<void> {
    try {
      const chunks: Buffer[] = [];
      for await (const chunk of incoming) chunks.push(chunk as Buffer);
      const { method = 'GET', url = '/', headers } = incoming;
      const request = { method, url, headers, body: Buffer.concat(chunks) };
      const call = callOf(request);
      const answer = await this.#answer(request, call);
      this.#note(call, answer);
      if (answer === undefined) incoming.socket.destroy();
      else response.writeHead(answer.status, answer.headers).end(answer.body);
    } catch {
      // The caller has gone, or the emulator has: either way the caller sees a connection that breaks.
      incoming.socket.destroy();
    }
  }

  #note({ service, action }: Call, answer: Answer | undefined): void {
    if (this.#log.length < LOG_ENTRIES_MAX) this.#log.push({ service, action, status: answer?.status });
  }

  /** Undefined where the connection is to be cut. */
  async #answer(request: Request, call: Call): Promise<Answer | undefined> {
    const effect = this.faults.meet(call);
    if (effect?.kind === 'error') return errorAnswer(call, effect.error);
    if (effect?.kind === 'cut' && !effect.applied) return undefined;
    if (effect?.kind === 'hold') await effect.until;
    const isFleet = call.service === 'ec2' && call.action === 'CreateFleet' && call.form.get('Type') === 'instant';
    const answer = isFleet ? await this.fleet.answer(call) : await this.#forward(request);
    if (effect?.kind === 'cut') return undefined;
    return call.service === 'ec2' && call.action === 'DescribeInstances' ? this.#withReasons(answer) : answer;
  }

  #forward({ method, url, headers, body }: Request): Promise<Answer> {
    const passed = Object.fromEntries(Object.entries(headers).filter(([name]) => !HOP_HEADERS.includes(name)));
    return new Promise((resolve, reject) => {
      const outgoing = http.request(
        new URL(url, this.#target),
        { method, agent: this.#agent, headers: { ...passed, 'content-length': body.length } },
        (incoming) => {
          const chunks: Buffer[] = [];
          incoming.on('data', (chunk: Buffer) => chunks.push(chunk));
          incoming.once('error', reject);
          incoming.once('end', () => {
            // Of an answer without its body only its own word says how long that is.
            const says = (name: string) => method === 'HEAD' && name === 'content-length';
            const kept = Object.entries(incoming.headers).filter(([name]) => says(name) || !HOP_HEADERS.includes(name));
            const answered = Object.fromEntries(kept.map(([name, value]) => [name, String(value)]));
            resolve({ status: incoming.statusCode ?? 502, headers: answered, body: Buffer.concat(chunks) });
          });
        },
      );
      outgoing.once('error', reject);
      outgoing.end(body);
    });
  }

  /** A request of our own to the emulator's EC2; it is in no count. */
  #query(form: URLSearchParams): Promise<Answer> {
    const scope = 'Credential=test/20260101/us-east-1/ec2/aws4_request';
    return this.#forward({
      method: 'POST',
      url: '/',
      headers: {
        'content-type': 'application/x-www-form-urlencoded',
        authorization: `AWS4-HMAC-SHA256 ${scope}, SignedHeaders=host, Signature=none`,
      },
      body: Buffer.from(form.toString()),
    });
  }

  async #zoneOf(subnetId: string): Promise<string | undefined> {
    if (!this.#zones.has(subnetId)) {
      const form = { Action: 'DescribeSubnets', Version: '2016-11-15', 'SubnetId.1': subnetId };
      const answer = await this.#query(new URLSearchParams(form));
      this.#zones.set(subnetId, /<availabilityZone>([^<]+)</.exec(answer.body.toString())?.[1]);
    }
    return this.#zones.get(subnetId);
  }

  /** EC2 says of a terminated instance why it is; the emulator does not. */
  #withReasons(answer: Answer): Answer {
    const text = answer.body.toString().replaceAll(/<instanceId>(i-[0-9a-f]+)<\/instanceId>/g, (whole, id: string) => {
      const reason = this.#stateReasons.get(id);
      if (reason === undefined) return whole;
      return `${whole}<stateReason><code>${reason.code}</code><message>${reason.message}</message></stateReason>`;
    });
    return { ...answer, body: Buffer.from(text) };
  }
}
