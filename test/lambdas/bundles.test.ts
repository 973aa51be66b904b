/** What each function's bundle holds. The AWS clients are what a cold start pays for, so each is listed here. */
import path from 'node:path';
import { build } from 'esbuild';
import { describe, expect, it } from 'vitest';
import { bundleOptions, lambdaNames } from '../../lib/bundle/lambdas.ts';
import { ROOT } from '../../lib/bundle/paths.ts';

const EVERYWHERE = ['dynamodb', 'sfn'];
const CLIENTS: Readonly<Record<string, readonly string[]>> = {
  fire: [],
  'await-ready': [],
  'dispatch-run': [],
  'fail-run': [],
  'launch-vm': ['ec2'],
  'release-vm': ['ec2'],
  'execution-ended': ['ec2'],
  watchdog: ['ec2', 'scheduler'],
  audit: ['ec2', 'scheduler'],
  events: ['ec2', 'scheduler'],
  register: ['secrets-manager'],
  deliver: ['secrets-manager'],
  // It is open to everybody who reaches it: it has no client that could end a machine.
  api: ['s3', 'scheduler', 'secrets-manager'],
};

interface Bundle {
  readonly bytes: number;
  readonly inputs: readonly string[];
}

async function bundle(entry: { readonly name: string } | { readonly code: string }): Promise<Bundle> {
  const { metafile } = await build({
    ...bundleOptions,
    ...('name' in entry
      ? { entryPoints: [path.join(ROOT, 'lambdas', `${entry.name}.ts`)] }
      : { stdin: { contents: entry.code, resolveDir: ROOT } }),
    metafile: true,
    write: false,
    outfile: 'bundle.cjs',
  });
  const [output] = Object.values(metafile.outputs);
  const inputs = Object.entries(output?.inputs ?? {}).filter(([, { bytesInOutput }]) => bytesInOutput > 0);
  return { bytes: output?.bytes ?? 0, inputs: inputs.map(([file]) => file) };
}

const clientsOf = ({ inputs }: Bundle) =>
  [...new Set(inputs.flatMap((file) => /@aws-sdk\/client-([a-z0-9-]+)/.exec(file)?.[1] ?? []))].sort();

describe('the bundle of', () => {
  it('every function is listed here', () => {
    expect(Object.keys(CLIENTS).sort()).toEqual(lambdaNames());
  });

  it.each(Object.entries(CLIENTS))(
    '%s has the clients that it calls, and no other (%j besides the two of all)',
    async (name, clients) => {
      expect(clientsOf(await bundle({ name }))).toEqual([...EVERYWHERE, ...clients].sort());
    },
  );

  it('fire has at most 1.3 times the bytes of the bare clients that it uses (design.md §10)', async () => {
    const dynamodb =
      'BatchGetItemCommand DeleteItemCommand GetItemCommand PutItemCommand QueryCommand TransactWriteItemsCommand UpdateItemCommand';
    const sfn = 'StartExecutionCommand StopExecutionCommand SendTaskSuccessCommand';
    const commands = (names: string) => names.split(' ').join(', ');
    const bare = await bundle({
      code: `import { DynamoDBClient, ${commands(dynamodb)} } from '@aws-sdk/client-dynamodb';
        import { SFNClient, ${commands(sfn)} } from '@aws-sdk/client-sfn';
        export const all = [new DynamoDBClient({}), new SFNClient({}), ${commands(dynamodb)}, ${commands(sfn)}];`,
    });
    const fire = await bundle({ name: 'fire' });
    expect(fire.bytes / bare.bytes).toBeLessThanOrEqual(1.3);
    // One careless import of a schema brings it back, and with it as much as all of Candor's own code.
    expect(fire.inputs.filter((file) => file.includes('node_modules/zod'))).toEqual([]);
  });
});
