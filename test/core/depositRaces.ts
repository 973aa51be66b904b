import type { Ports } from '../../core/ports.ts';
import { storeArtifact, storeChunk } from '../../core/runs/deposits.ts';
import * as keys from '../../core/table/itemKeys.ts';
import type { World } from '../support/world.ts';
import { type Race, tolerant } from './race.ts';
import { interleaved, runningRun } from './support.ts';

async function depositing(world: World) {
  const { id, vmId, runner } = await runningRun(world);
  const identity = { kind: 'vm', tenantId: world.caller.tenantId, vmId, generation: runner.generation } as const;
  const name = { runId: id, attempt: 1 };
  const put = (chunk: number, ports: Ports = world.ports) => storeChunk(ports, identity, name, chunk, []);
  const file = (letter: string, ports: Ports = world.ports) => {
    const artifact = { path: letter, bytes: world.ports.config.maxArtifactBytes, sha256: letter.repeat(64) };
    const stored = storeArtifact(ports, identity, name, artifact, new Blob([]).stream());
    return tolerant(stored);
  };
  return { id, put, file };
}

export const DEPOSIT_RACES: readonly Race[] = [
  {
    without: ['log.inOrder'],
    when: 'a chunk is sent again, and the next one too, before it is counted',
    breaks: 'I7: the next chunk is refused for a gap',
    held: async (world) => {
      const { id, put } = await depositing(world);
      const rival = async () => {
        await put(0);
        await put(1);
      };
      await put(0, interleaved(world, rival));
      return (await world.ports.store.get(keys.runLogCount(id, 1)))?.chunks === 2;
    },
  },
  {
    without: ['files.asRead'],
    when: 'another artifact takes the last room between an artifact’s read and its write',
    breaks: 'I7: more is stored than may be',
    held: async (world) => {
      const { id, file } = await depositing(world);
      await file(
        'a',
        interleaved(world, () => file('b')),
      );
      const files = (await world.ports.store.get(keys.runFiles(id, 1)))?.files as readonly { sha256: string }[];
      return files.map(({ sha256 }) => sha256[0]).join() === 'b';
    },
  },
];
