import path from 'node:path';
import { CreateTableCommand, DynamoDBClient, GetItemCommand, PutItemCommand } from '@aws-sdk/client-dynamodb';
import { describe, expect, it } from 'vitest';
import { type Engine, endLeftoverEngine, startEngine } from '../../../adapters/local/engine.ts';
import { identify, sendSignal } from '../../../adapters/local/procfs.ts';
import { afterThisTest, eventually, silent, temporaryFolder } from './support.ts';

async function start(dbPath: string | undefined, onExit?: (detail: string) => void): Promise<Engine> {
  const engine = await startEngine({ dbPath, log: silent, ...(onExit && { onExit }) });
  afterThisTest(() => engine.stop());
  return engine;
}

function clientOf(engine: Engine): DynamoDBClient {
  const client = new DynamoDBClient({
    endpoint: engine.endpoint,
    region: 'local',
    credentials: { accessKeyId: 'local', secretAccessKey: 'local' },
  });
  afterThisTest(() => client.destroy());
  return client;
}

const createTable = new CreateTableCommand({
  TableName: 'candor',
  BillingMode: 'PAY_PER_REQUEST',
  AttributeDefinitions: [{ AttributeName: 'pk', AttributeType: 'S' }],
  KeySchema: [{ AttributeName: 'pk', KeyType: 'HASH' }],
});
const put = new PutItemCommand({ TableName: 'candor', Item: { pk: { S: 'a' }, value: { S: 'kept' } } });
const get = new GetItemCommand({ TableName: 'candor', Key: { pk: { S: 'a' } }, ConsistentRead: true });

describe('the DynamoDB engine', () => {
  it('answers as soon as it is said to have started, and is gone after its stop', async () => {
    const engine = await start(undefined);
    await clientOf(engine).send(createTable);

    await engine.stop();

    expect(identify(engine.pid)).toBeUndefined();
  });

  it('runs several at once, each on its own port', async () => {
    const engines = await Promise.all([start(undefined), start(undefined), start(undefined)]);

    expect(new Set(engines.map((engine) => engine.endpoint)).size).toBe(3);
  });

  it('keeps acknowledged writes over kill -9, of which it tells', async () => {
    const dbPath = path.join(temporaryFolder(), 'table.db');
    const ends: string[] = [];
    const first = await start(dbPath, (detail) => ends.push(detail));
    await clientOf(first).send(createTable);
    await clientOf(first).send(put);

    sendSignal(first.pid, 'SIGKILL');
    await eventually(() => expect(ends).toEqual(['it ended by SIGKILL']));
    const second = await start(dbPath);

    expect((await clientOf(second).send(get)).Item).toMatchObject({ value: { S: 'kept' } });
  });

  it('tells nobody of its end when it was told to stop', async () => {
    const ends: string[] = [];
    const engine = await start(undefined, (detail) => ends.push(detail));

    await engine.stop();

    expect(ends).toEqual([]);
  });

  it('says what is wrong when it cannot open its file', async () => {
    const dbPath = path.join(temporaryFolder(), 'absent', 'table.db');

    await expect(start(dbPath)).rejects.toThrow(/did not come up.*unable to open database file/s);
  });
});

describe('a left-over engine', () => {
  it('is ended when it has this database open, and no other engine is', async () => {
    const folder = temporaryFolder();
    const leftover = await start(path.join(folder, 'table.db'));
    const neighbour = await start(path.join(folder, 'other.db'));
    const inMemory = await start(undefined);

    const ended = await endLeftoverEngine(path.join(folder, '.', 'table.db'), silent);

    expect(ended).toEqual([leftover.pid]);
    expect(identify(leftover.pid)).toBeUndefined();
    expect(identify(neighbour.pid)).toBeDefined();
    expect(identify(inMemory.pid)).toBeDefined();
  });

  it('is ended even if it does not listen to a polite signal', async () => {
    const dbPath = path.join(temporaryFolder(), 'table.db');
    const leftover = await start(dbPath);
    sendSignal(leftover.pid, 'SIGSTOP');

    expect(await endLeftoverEngine(dbPath, silent)).toEqual([leftover.pid]);
    expect(identify(leftover.pid)).toBeUndefined();
  });

  it('is usually not there', async () => {
    expect(await endLeftoverEngine(path.join(temporaryFolder(), 'table.db'), silent)).toEqual([]);
  });
});
