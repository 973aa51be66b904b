/** One dead-letter queue: looked at, taken from and given back to. What is taken comes back by itself if this program dies. */
import {
  ChangeMessageVisibilityCommand,
  DeleteMessageCommand,
  GetQueueAttributesCommand,
  GetQueueUrlCommand,
  type Message,
  ReceiveMessageCommand,
  type SQSClient,
} from '@aws-sdk/client-sqs';
import type { RawLetter } from './letters.ts';

export interface Depth {
  /** All three as SQS says: nearly right, and exact some time after the last change. */
  readonly waiting: number;
  /** Taken by somebody and not given back yet. */
  readonly taken: number;
  readonly delayed: number;
}

const COUNTS = {
  waiting: 'ApproximateNumberOfMessages',
  taken: 'ApproximateNumberOfMessagesNotVisible',
  delayed: 'ApproximateNumberOfMessagesDelayed',
} as const satisfies Readonly<Record<keyof Depth, string>>;

/** SQS asks all of its servers only where it may wait a little; else it may answer nothing although something is there. */
const WAIT_SECONDS = 1;
const BATCH_MAX = 10;

export class Mailbox {
  readonly #client: SQSClient;
  readonly #url: string;

  private constructor(client: SQSClient, url: string) {
    this.#client = client;
    this.#url = url;
  }

  static async open(client: SQSClient, name: string): Promise<Mailbox> {
    const { QueueUrl: url } = await client.send(new GetQueueUrlCommand({ QueueName: name }));
    if (url === undefined) throw new Error(`SQS gives no address for ${name}`);
    return new Mailbox(client, url);
  }

  async depth(): Promise<Depth> {
    const { Attributes: attributes = {} } = await this.#client.send(
      new GetQueueAttributesCommand({ QueueUrl: this.#url, AttributeNames: Object.values(COUNTS) }),
    );
    const count = (name: keyof Depth) => Number(attributes[COUNTS[name]] ?? 0);
    return { waiting: count('waiting'), taken: count('taken'), delayed: count('delayed') };
  }

  /**
   * Takes letters, so that nobody else is given them for a while.
   * @param seconds how long; after that they are there for all again
   */
  async take(max: number, seconds: number): Promise<readonly RawLetter[]> {
    const { Messages: messages = [] } = await this.#client.send(
      new ReceiveMessageCommand({
        QueueUrl: this.#url,
        MaxNumberOfMessages: Math.min(max, BATCH_MAX),
        VisibilityTimeout: seconds,
        WaitTimeSeconds: WAIT_SECONDS,
        MessageAttributeNames: ['All'],
        MessageSystemAttributeNames: ['SentTimestamp', 'ApproximateReceiveCount'],
      }),
    );
    return messages.map(letterOf);
  }

  /** There for all again, at once. */
  async giveBack(letter: Pick<RawLetter, 'handle'>): Promise<void> {
    await this.#client.send(
      new ChangeMessageVisibilityCommand({ QueueUrl: this.#url, ReceiptHandle: letter.handle, VisibilityTimeout: 0 }),
    );
  }

  async remove(letter: Pick<RawLetter, 'handle'>): Promise<void> {
    await this.#client.send(new DeleteMessageCommand({ QueueUrl: this.#url, ReceiptHandle: letter.handle }));
  }
}

function letterOf(message: Message): RawLetter {
  const { MessageId: id = '', ReceiptHandle: handle = '', Body: body = '', Attributes: system = {} } = message;
  const attributes = Object.entries(message.MessageAttributes ?? {}).flatMap(([name, { StringValue: value }]) =>
    value === undefined ? [] : [[name, value] as const],
  );
  return {
    id,
    handle,
    body,
    attributes: Object.fromEntries(attributes),
    sentAt: Number(system.SentTimestamp ?? 0),
    receiveCount: Number(system.ApproximateReceiveCount ?? 0),
  };
}
