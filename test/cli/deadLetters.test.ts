/** `candor dlq …` against doubles of SQS, Lambda and the stream that behave as their documentation says. */
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { QUEUES } from '../../cli/dlq/letters.ts';
import { FakeAws } from '../support/aws/fakeDeadLetters.ts';
import { candor, emptyFolder, start } from './candor.ts';

const FIRE = 'candor-test-fire-dead-letters';
const SCHEDULE = 'candor-test-schedule-dead-letters';
const EVENTS = 'candor-test-events-dead-letters';
const ENDED = 'candor-test-execution-ended-dead-letters';
const SCHEDULE_ID = 'sch_0123456789abcdefghjkmnpqrs';
const HOUR = 3_600_000;

let aws: FakeAws;
beforeEach(async () => {
  aws = await new FakeAws().listen(FIRE, SCHEDULE, EVENTS, ENDED);
});
afterEach(() => aws.close());

const environment = () => ({
  CANDOR_INSTALLATION: 'candor-test',
  AWS_ENDPOINT_URL: aws.url,
  AWS_REGION: 'us-east-1',
  AWS_ACCESS_KEY_ID: 'test',
  AWS_SECRET_ACCESS_KEY: 'test',
});
const dlq = (...args: readonly string[]) => candor(['dlq', ...args], { env: environment() });
const jsonLines = (text: string) =>
  text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Record<string, unknown>);

const fireEvent = (minute: number) => ({
  scheduleId: SCHEDULE_ID,
  specVersion: 1,
  scheduledTime: `2027-01-31T09:${String(minute).padStart(2, '0')}:00Z`,
});
/** As Lambda's failure destination writes it. */
const failedCall = (event: unknown) => ({
  version: '1.0',
  requestContext: {
    functionArn: 'arn:aws:lambda:…:fire:$LATEST',
    condition: 'RetriesExhausted',
    approximateInvokeCount: 3,
  },
  requestPayload: event,
  responseContext: { statusCode: 200, functionError: 'Unhandled' },
  responsePayload: { errorType: 'StoreUnavailable', errorMessage: 'the table does not answer' },
});

describe('list', () => {
  test('says how many there are and how old the oldest is, and leaves all of it there', async () => {
    aws.send(FIRE, failedCall(fireEvent(1)), { ageMs: 3 * HOUR });
    aws.send(FIRE, failedCall(fireEvent(2)), { ageMs: HOUR });
    const { code, stdout } = await dlq('list');
    expect(code).toBe(0);
    expect(stdout).toMatch(/^fire +2 +0 +3h$/m);
    expect(stdout).toMatch(/^events +0 +0 +-$/m);
    expect(aws.visible(FIRE)).toEqual(aws.ids(FIRE));
    const json = JSON.parse((await dlq('list', '--json')).stdout) as { items: { queue: string; waiting: number }[] };
    expect(json.items.map(({ queue, waiting }) => [queue, waiting])).toEqual(
      QUEUES.map((queue) => [queue, queue === 'fire' ? 2 : 0]),
    );
  });
});

describe('peek', () => {
  test('shows what each letter holds and why, the oldest first, and consumes nothing', async () => {
    for (let minute = 0; minute < 23; minute++) aws.send(FIRE, failedCall(fireEvent(minute)), { ageMs: HOUR - minute });
    const { code, stdout } = await dlq('peek', 'fire', '--json');
    expect(code).toBe(0);
    const { items } = JSON.parse(stdout) as { items: { id: string; about: string; reason: string; body: unknown }[] };
    expect(items.map(({ id }) => id)).toEqual(aws.ids(FIRE));
    expect(items[0]).toMatchObject({
      about: `${SCHEDULE_ID} 2027-01-31T09:00:00Z`,
      reason: 'RetriesExhausted after 3 tries; StoreUnavailable: the table does not answer',
      body: failedCall(fireEvent(0)),
    });
    expect(aws.visible(FIRE)).toHaveLength(23);
    expect((await dlq('peek', 'fire', '--max', '5')).stdout.trim().split('\n')).toHaveLength(6);
    expect(aws.calls).not.toContain('sqs.DeleteMessage');
    expect(aws.invoked).toEqual([]);
  });

  test('a look that is killed gives the letters back by itself', async () => {
    aws.send(FIRE, failedCall(fireEvent(1)));
    const looking = start(['dlq', 'peek', 'fire'], { env: environment() });
    aws.refuse = (action) => {
      // Its second receive: the letter is in its hands.
      if (aws.calls.filter((each) => each === 'sqs.ReceiveMessage').length === 2) looking.child.kill('SIGKILL');
      return action === 'sqs.ChangeMessageVisibility' ? { status: 500, code: 'InternalError' } : undefined;
    };
    await looking.ended;
    expect(aws.visible(FIRE)).toEqual([]);
    aws.aheadMs = 31_000;
    expect(aws.visible(FIRE)).toHaveLength(1);
  });
});

describe('redrive', () => {
  test('calls fire with the same event, deletes the letter then, and finds nothing to do again', async () => {
    aws.send(FIRE, failedCall(fireEvent(1)));
    aws.send(FIRE, failedCall(fireEvent(2)));
    aws.onInvoke = () => {
      expect(aws.ids(FIRE).length + aws.invoked.length).toBe(3);
      return { outcome: 'settled' };
    };
    const first = await dlq('redrive', 'fire');
    expect(first).toMatchObject({ code: 0, stderr: '2 redriven.\n' });
    expect(first.stdout).toContain(`${SCHEDULE_ID} 2027-01-31T09:01:00Z: {"outcome":"settled"}`);
    expect(aws.invoked).toEqual(
      expect.arrayContaining([1, 2].map((n) => ({ name: 'candor-test-fire', event: fireEvent(n) }))),
    );
    expect(aws.ids(FIRE)).toEqual([]);
    expect(await dlq('redrive', 'fire')).toMatchObject({ code: 0, stdout: '', stderr: 'There are none.\n' });
    expect(aws.invoked).toHaveLength(2);
  });

  test('keeps what fails, says why, goes on with the others, and is done when the cause is gone', async () => {
    const poison = aws.send(FIRE, failedCall(fireEvent(1)));
    aws.send(FIRE, failedCall(fireEvent(2)));
    aws.onInvoke = (_, event) => {
      if (event.scheduledTime === fireEvent(1).scheduledTime) throw new RangeError('still broken');
      return null;
    };
    const { code, stdout, stderr } = await dlq('redrive', 'fire', '--json');
    expect([code, stderr]).toEqual([1, '1 redriven, 1 failed.\n']);
    expect(jsonLines(stdout)).toContainEqual(
      expect.objectContaining({
        id: poison,
        result: 'failed',
        detail: 'candor-test-fire has failed: RangeError: still broken',
      }),
    );
    // Given back at once, not when the time is over.
    expect(aws.visible(FIRE)).toEqual([poison]);
    aws.onInvoke = () => null;
    expect((await dlq('redrive', 'fire')).code).toBe(0);
    expect(aws.ids(FIRE)).toEqual([]);
  });

  test('killed between the call and the delete, it delivers once more and loses nothing', async () => {
    aws.send(FIRE, failedCall(fireEvent(1)));
    const redriving = start(['dlq', 'redrive', 'fire'], { env: environment() });
    aws.onInvoke = () => {
      redriving.child.kill('SIGKILL');
      return null;
    };
    await redriving.ended;
    expect(aws.ids(FIRE)).toHaveLength(1);
    expect(await dlq('redrive', 'fire')).toMatchObject({ code: 0, stderr: 'There are none.\n' });
    aws.aheadMs = 301_000;
    aws.onInvoke = () => null;
    expect(await dlq('redrive', 'fire')).toMatchObject({ code: 0, stderr: '1 redriven.\n' });
    expect(aws.invoked.map(({ event }) => event)).toEqual([fireEvent(1), fireEvent(1)]);
    expect(aws.ids(FIRE)).toEqual([]);
  });

  test('a letter that cannot be deleted stays, and is said to', async () => {
    aws.send(FIRE, failedCall(fireEvent(1)));
    aws.refuse = (action) => (action === 'sqs.DeleteMessage' ? { status: 403, code: 'AccessDenied' } : undefined);
    const { code, stdout } = await dlq('redrive', 'fire');
    expect(code).toBe(1);
    expect(stdout).toMatch(/^redriven not deleted .*it could not be deleted: AccessDenied it is/);
    expect(aws.visible(FIRE)).toHaveLength(1);
  });

  test('is bounded: by --max, and by five failures in a row', async () => {
    for (let minute = 0; minute < 9; minute++) aws.send(FIRE, failedCall(fireEvent(minute)));
    expect((await dlq('redrive', 'fire', '--max', '2')).stderr).toBe(
      '2 redriven. There may be more: --max ends it here.\n',
    );
    expect(aws.ids(FIRE)).toHaveLength(7);
    aws.onInvoke = () => {
      throw new Error('no');
    };
    const { code, stderr } = await dlq('redrive', 'fire');
    expect([code, stderr]).toEqual([1, expect.stringMatching(/^5 failed. It stopped after five failures in a row/)]);
    expect(aws.invoked).toHaveLength(7);
    expect(aws.visible(FIRE)).toHaveLength(7);
  });

  test('--dry-run says what would be done, and does nothing', async () => {
    aws.send(FIRE, failedCall(fireEvent(1)));
    const { code, stdout } = await dlq('redrive', 'fire', '--dry-run');
    expect(code).toBe(0);
    expect(stdout).toMatch(/^would redrive .*: calls fire again$/m);
    expect([aws.invoked, aws.visible(FIRE)]).toEqual([[], aws.ids(FIRE)]);
  });

  test('where the function itself may not be called, it stops at the first letter and gives it back', async () => {
    aws.send(FIRE, failedCall(fireEvent(1)));
    aws.send(FIRE, failedCall(fireEvent(2)));
    aws.refuse = (action) => (action === 'lambda.Invoke' ? { status: 403, code: 'AccessDeniedException' } : undefined);
    const { code, stderr } = await dlq('redrive', 'fire');
    expect(code).toBe(4);
    expect(stderr).toContain('AWS refuses: AccessDeniedException it is');
    expect(aws.visible(FIRE)).toHaveLength(2);
  });
});

describe('what each queue holds', () => {
  const attributes = {
    ERROR_CODE: 'AccessDeniedException',
    ERROR_MESSAGE: 'not authorized',
    SCHEDULED_TIME: '2027-01-31T09:05:00Z',
    SCHEDULE_ARN: `arn:aws:scheduler:us-east-1:123456789012:schedule/candor-test/${SCHEDULE_ID}`,
  };

  test.each([
    ['the input', fireEvent(5), fireEvent(5)],
    [
      'an input whose time was not filled in',
      { ...fireEvent(5), scheduledTime: '<aws.scheduler.scheduled-time>' },
      fireEvent(5),
    ],
    ['nothing that can be read', 'cut off', { scheduleId: SCHEDULE_ID, scheduledTime: fireEvent(5).scheduledTime }],
  ])('schedule: %s, and the time in the attributes', async (_, body, event) => {
    aws.send(SCHEDULE, body, { attributes });
    expect((await dlq('peek', 'schedule')).stdout).toContain('AccessDeniedException; not authorized');
    expect((await dlq('redrive', 'schedule')).code).toBe(0);
    expect(aws.invoked).toEqual([{ name: 'candor-test-fire', event }]);
    expect(aws.ids(SCHEDULE)).toEqual([]);
  });

  const ended = {
    detail: {
      status: 'FAILED',
      executionArn: 'arn:aws:states:us-east-1:1:execution:provision-vm:run_1-1',
      input: '{}',
    },
  };
  test.each([
    ['of the rule', ended, { ERROR_CODE: 'NO_PERMISSIONS' }],
    ['of Lambda', failedCall(ended), {}],
  ])('execution-ended: a letter %s', async (_, body, attributes) => {
    aws.send(ENDED, body, { attributes });
    const { stdout } = await dlq('redrive', 'execution-ended');
    expect(stdout).toContain('run_1-1 FAILED');
    expect(aws.invoked).toEqual([{ name: 'candor-test-execution-ended', event: ended }]);
  });

  test('what no function would take is kept, until it is discarded: printed before it goes', async () => {
    aws.send(FIRE, { requestPayload: { scheduleId: 'nothing' }, requestContext: {} });
    const kept = await dlq('redrive', 'fire');
    expect(kept.code).toBe(1);
    expect(kept.stdout).toMatch(/^hopeless .*it is no event of `fire`/);
    expect(aws.visible(FIRE)).toHaveLength(1);
    const gone = await dlq('redrive', 'fire', '--discard', '--json');
    expect(gone.code).toBe(0);
    expect(jsonLines(gone.stdout).map(({ result }) => result)).toEqual(['discarding', 'discarded']);
    expect(jsonLines(gone.stdout)[0]).toMatchObject({ body: { requestPayload: { scheduleId: 'nothing' } } });
    expect([aws.ids(FIRE), aws.invoked]).toEqual([[], []]);
  });
});

describe('the stream’s letters', () => {
  const record = (number: number, eventName: 'INSERT' | 'MODIFY' = 'INSERT') => ({
    SequenceNumber: String(number),
    eventName,
    NewImage: { pk: { S: `RUN#${number}` }, bytes: { B: 'aGk=' } },
  });
  const letter = (from: number, to: number) => ({
    requestContext: { condition: 'RetryAttemptsExhausted', approximateInvokeCount: 21 },
    DDBStreamBatchInfo: {
      streamArn: 'arn:aws:dynamodb:us-east-1:123456789012:table/t/stream/2027',
      shardId: 'shardId-1',
      startSequenceNumber: String(from),
      endSequenceNumber: String(to),
      batchSize: 2,
    },
  });
  const numbers = () =>
    aws.invoked.flatMap(({ event }) =>
      (event.Records as { dynamodb: { SequenceNumber: string } }[]).map(({ dynamodb }) =>
        Number(dynamodb.SequenceNumber),
      ),
    );
  beforeEach(() => {
    aws.records.push(...[1, 2, 3, 4, 5, 6, 7].map((number) => record(number, number === 4 ? 'MODIFY' : 'INSERT')));
    aws.onInvoke = () => ({ batchItemFailures: [] });
  });

  test('hold a place: the inserted records between both ends are read again and handed to events, in order', async () => {
    aws.send(EVENTS, letter(2, 6));
    const { code, stdout } = await dlq('redrive', 'events');
    expect([code, stdout]).toEqual([0, expect.stringContaining('2 records of shardId-1 from 2: 4 records handled')]);
    expect(numbers()).toEqual([2, 3, 5, 6]);
    expect(aws.invoked[0]).toMatchObject({
      name: 'candor-test-events',
      event: {
        Records: [{ eventName: 'INSERT', dynamodb: { NewImage: { pk: { S: 'RUN#2' }, bytes: { B: 'aGk=' } } } }, {}],
      },
    });
    expect(aws.ids(EVENTS)).toEqual([]);
  });

  test('stay where a record still fails', async () => {
    aws.send(EVENTS, letter(2, 6));
    aws.onInvoke = () => ({ batchItemFailures: [{ itemIdentifier: '3' }] });
    const { code, stdout } = await dlq('redrive', 'events');
    expect([code, stdout]).toEqual([1, expect.stringContaining('record 3 could not be handled')]);
    expect(aws.visible(EVENTS)).toHaveLength(1);
  });

  test('are too old after a day: said plainly, kept, and cleared only on request', async () => {
    aws.horizon = 5n;
    aws.send(EVENTS, letter(2, 3));
    aws.send(EVENTS, letter(6, 7));
    const { code, stdout, stderr } = await dlq('redrive', 'events');
    expect(code).toBe(1);
    expect(stdout).toMatch(/^hopeless .*the stream no longer has these records: it keeps them for 24 hours$/m);
    expect(stderr).toContain('not handled any more');
    expect(numbers()).toEqual([6, 7]);
    expect(aws.ids(EVENTS)).toHaveLength(1);
    expect((await dlq('redrive', 'events', '--discard')).code).toBe(0);
    expect(aws.ids(EVENTS)).toEqual([]);
  });
});

describe('what it cannot do', () => {
  test('a queue that there is not: the valid names', async () => {
    const { code, stderr } = await dlq('peek', 'fires');
    expect(code).toBe(2);
    expect(stderr).toContain('Name one of: schedule, fire, events, execution-ended.');
  });

  test('no installation; and a local server, which has no such queues', async () => {
    const env = { ...environment(), CANDOR_INSTALLATION: undefined };
    const none = await candor(['dlq', 'list'], { env });
    expect(none).toMatchObject({ code: 2, stderr: expect.stringContaining('CANDOR_INSTALLATION') });
    const folder = emptyFolder();
    mkdirSync(path.join(folder, '.candor'));
    writeFileSync(path.join(folder, '.candor/endpoint.json'), '{}');
    const local = await candor(['dlq', 'list'], { env, cwd: folder });
    expect([local.code, local.stderr]).toEqual([
      2,
      expect.stringContaining('`candor dev`, which has no dead-letter queues'),
    ]);
  });

  test('an installation that is not there, a right that is missing, and nobody who answers', async () => {
    const absent = await dlq('list', '--installation', 'candor-other');
    expect([absent.code, absent.stderr]).toEqual([4, expect.stringContaining('no installation candor-other')]);
    aws.refuse = () => ({ status: 403, code: 'AccessDenied' });
    const refused = await dlq('list');
    expect([refused.code, refused.stderr]).toEqual([4, expect.stringContaining('docs/dead-letters.md')]);
    const env = { ...environment(), AWS_ENDPOINT_URL: 'http://127.0.0.1:1', AWS_MAX_ATTEMPTS: '1' };
    expect(await candor(['dlq', 'list'], { env })).toMatchObject({ code: 3 });
  });
});
