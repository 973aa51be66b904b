/**
 * SQS standard queues, Lambda's Invoke and DynamoDB Streams after their documentation, as far as dead letters are redriven.
 * Of SQS: a letter that was received is invisible until its time is over or it is given back; it has a new receipt handle
 * each time, and only the newest deletes it; order means nothing; what is in flight may be handed out again all the same.
 */
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';

interface Stored {
  readonly id: string;
  readonly body: string;
  readonly attributes: Readonly<Record<string, string>>;
  readonly sentAt: number;
  visibleAt: number;
  received: number;
  handle: string;
}

type Json = Readonly<Record<string, unknown>>;
export interface Refusal {
  readonly status: number;
  readonly code: string;
}

/** Of the stream: in order, of one shard. */
export interface FakeRecord {
  readonly SequenceNumber: string;
  readonly eventName: 'INSERT' | 'MODIFY' | 'REMOVE';
  readonly NewImage: Json;
}

export class FakeAws {
  readonly queues = new Map<string, Stored[]>();
  /** Every call of a function, in order. */
  readonly invoked: { readonly name: string; readonly event: Json }[] = [];
  readonly records: FakeRecord[] = [];
  /** Records below this number have been trimmed. */
  horizon = 0n;
  /** Actions in order, such as `sqs.DeleteMessage`. */
  readonly calls: string[] = [];
  /** What a function answers; it fails where this throws. */
  onInvoke: (name: string, event: Json) => unknown = () => null;
  refuse: (action: string) => Refusal | undefined = () => undefined;
  /** Moves SQS's clock. */
  aheadMs = 0;
  #count = 0;
  #server: Server | undefined;

  async listen(...queues: readonly string[]): Promise<this> {
    for (const name of queues) this.queues.set(name, []);
    this.#server = createServer(async (request, response) => {
      const parts: Buffer[] = [];
      for await (const part of request) parts.push(part as Buffer);
      const body = JSON.parse(Buffer.concat(parts).toString() || '{}') as Json;
      const target = String(request.headers['x-amz-target'] ?? '');
      const invoke = /^\/2015-03-31\/functions\/([^/]+)\/invocations/.exec(request.url ?? '');
      const action = invoke ? 'lambda.Invoke' : target.replace(/^AmazonSQS\./, 'sqs.').replace(/^.*_\d+\./, 'streams.');
      this.calls.push(action);
      const refusal = this.refuse(action);
      const answer = refusal ?? (invoke ? this.#invoke(decodeURIComponent(invoke[1]!), body) : this.#act(action, body));
      const headers = { 'content-type': 'application/x-amz-json-1.0' };
      if ('code' in answer)
        response
          .writeHead(Number(answer.status), { ...headers, 'x-amzn-errortype': String(answer.code) })
          .end(JSON.stringify({ __type: answer.code, message: `${answer.code} it is` }));
      else if ('failed' in answer)
        response.writeHead(200, { ...headers, 'x-amz-function-error': 'Unhandled' }).end(JSON.stringify(answer.failed));
      else response.writeHead(200, headers).end(JSON.stringify('payload' in answer ? answer.payload : answer));
    }).listen(0, '127.0.0.1');
    await once(this.#server, 'listening');
    return this;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server!.address() as AddressInfo).port}`;
  }

  close(): void {
    this.#server?.close();
    this.#server?.closeAllConnections();
  }

  send(queue: string, body: unknown, more: { attributes?: Record<string, string>; ageMs?: number } = {}): string {
    const id = `letter-${++this.#count}`;
    const text = typeof body === 'string' ? body : JSON.stringify(body);
    const sentAt = this.#now() - (more.ageMs ?? 0);
    const letter = { id, body: text, attributes: more.attributes ?? {}, sentAt, visibleAt: 0, received: 0, handle: '' };
    this.queues.get(queue)!.push(letter);
    return id;
  }

  ids = (queue: string): readonly string[] => this.queues.get(queue)!.map(({ id }) => id);
  visible = (queue: string): readonly string[] =>
    this.queues.get(queue)!.flatMap(({ id, visibleAt }) => (visibleAt <= this.#now() ? [id] : []));

  #now = () => Date.now() + this.aheadMs;

  #invoke(name: string, event: Json): Json {
    this.invoked.push({ name, event });
    try {
      return { payload: this.onInvoke(name, event) };
    } catch (error) {
      const { name: errorType, message: errorMessage } = error as Error;
      return { failed: { errorType, errorMessage } };
    }
  }

  #act(action: string, body: Json): Json | Refusal {
    if (action === 'streams.GetShardIterator') return this.#iterator(String(body.SequenceNumber));
    if (action === 'streams.GetRecords') return this.#page(Number(body.ShardIterator));
    if (action === 'sqs.GetQueueUrl')
      return this.queues.has(String(body.QueueName))
        ? { QueueUrl: `${this.url}/123456789012/${String(body.QueueName)}` }
        : { status: 400, code: 'com.amazonaws.sqs#QueueDoesNotExist' };
    const letters = this.queues.get(String(body.QueueUrl).split('/').at(-1)!)!;
    if (action === 'sqs.GetQueueAttributes') return this.#attributes(letters);
    if (action === 'sqs.ReceiveMessage') return this.#receive(letters, body);
    const handle = String(body.ReceiptHandle);
    const found = letters.find((letter) => letter.handle === handle);
    if (action === 'sqs.DeleteMessage') {
      // With an older handle the answer is the same, and the letter stays.
      if (found !== undefined) letters.splice(letters.indexOf(found), 1);
      return {};
    }
    if (action === 'sqs.ChangeMessageVisibility') {
      if (found === undefined || found.visibleAt <= this.#now()) return { status: 400, code: 'MessageNotInflight' };
      found.visibleAt = this.#now() + Number(body.VisibilityTimeout) * 1000;
      return {};
    }
    throw new TypeError(`the double of AWS does not know ${action}`);
  }

  #attributes(letters: readonly Stored[]): Json {
    const visible = letters.filter(({ visibleAt }) => visibleAt <= this.#now()).length;
    return {
      Attributes: {
        ApproximateNumberOfMessages: String(visible),
        ApproximateNumberOfMessagesNotVisible: String(letters.length - visible),
        ApproximateNumberOfMessagesDelayed: '0',
      },
    };
  }

  #receive(letters: readonly Stored[], body: Json): Json {
    const now = this.#now();
    // Newest first: whoever relies on an order is found out.
    const chosen = letters.filter(({ visibleAt }) => visibleAt <= now).reverse();
    for (const letter of chosen.slice(0, Number(body.MaxNumberOfMessages))) {
      letter.handle = `handle-${letter.id}-${++letter.received}`;
      letter.visibleAt = now + Number(body.VisibilityTimeout) * 1000;
    }
    return {
      Messages: chosen.slice(0, Number(body.MaxNumberOfMessages)).map((letter) => ({
        MessageId: letter.id,
        ReceiptHandle: letter.handle,
        Body: letter.body,
        MD5OfBody: createHash('md5').update(letter.body).digest('hex'),
        Attributes: { SentTimestamp: String(letter.sentAt), ApproximateReceiveCount: String(letter.received) },
        MessageAttributes: Object.fromEntries(
          Object.entries(letter.attributes).map(([name, value]) => [name, { DataType: 'String', StringValue: value }]),
        ),
      })),
    };
  }

  #iterator(sequenceNumber: string): Json | Refusal {
    if (BigInt(sequenceNumber) < this.horizon) return { status: 400, code: 'TrimmedDataAccessException' };
    const at = this.records.findIndex((record) => BigInt(record.SequenceNumber) >= BigInt(sequenceNumber));
    return { ShardIterator: String(at < 0 ? this.records.length : at) };
  }

  /** Two records a page, and an empty page before each that is not: as a live shard may answer. */
  #page(at: number): Json {
    if (!Number.isInteger(at)) {
      const from = Math.floor(at);
      const records = this.records.slice(from, from + 2).map(({ eventName, ...dynamodb }) => ({ eventName, dynamodb }));
      return { Records: records, NextShardIterator: String(from + records.length) };
    }
    return { Records: [], NextShardIterator: String(at + 0.5) };
  }
}
