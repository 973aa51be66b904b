/** The event feed on a real `candor dev`: nothing is missing from it, whoever is killed. */
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import type { FeedBody, FeedEventBody } from '../../core/contract/feed.ts';
import { Machine, until } from './support.ts';

const CANDOR = fileURLToPath(new URL('../../cli/candor.mjs', import.meta.url));

/** `candor events -f`, as somebody leaves it running. */
function follow(machine: Machine) {
  const args = [CANDOR, 'events', '-f', '--json', '--after', 'earliest', '--data-dir', machine.dataDir];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'], env: { PATH: process.env.PATH } });
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  const ended = new Promise((resolve) => child.once('close', resolve));
  return {
    told: (): readonly FeedEventBody[] => {
      if (child.exitCode !== null) throw new Error(`candor events ended with ${child.exitCode}: ${stderr}`);
      const lines = stdout.split('\n').slice(0, -1);
      return lines.map((line) => JSON.parse(line) as FeedEventBody);
    },
    stop: async () => {
      child.kill('SIGINT');
      await ended;
      return stderr;
    },
  };
}

describe('the event feed, over kill -9', { timeout: 180_000 }, () => {
  it('has every event of every run, in order, for who follows it and for who resumes', async () => {
    const machine = new Machine();
    await machine.start();
    const agent = await machine.worker();
    const following = follow(machine);
    // Only a server that has answered once is waited for when it is away.
    await until('the follower is there', () => following.told().length > 0);
    const seen: FeedEventBody[] = [];
    let cursor = 'earliest';
    const read = async (query = '') => {
      const page = await machine.get<FeedBody>(`/v1/events?after=${cursor}&limit=7${query}`);
      seen.push(...page.items);
      cursor = page.nextCursor;
      return page.caughtUp;
    };
    const runs: { readonly id: string }[] = [];
    for (let round = 0; round < 3; round++) {
      for (let count = 0; count < 3; count++) runs.push(await machine.run(agent, machine.orders({ lines: 3 })));
      await read();
      // At different places in the work, and with events that have been appended but not handled.
      if (round > 0) await machine.ended(runs[3 * round]!);
      await machine.killDev();
      await machine.start();
    }
    for (const run of runs) await machine.ended(run);
    const truth = new Map<string, readonly number[]>();
    for (const run of runs)
      truth.set(
        run.id,
        (await machine.events(run)).map(({ sequence }) => sequence),
      );
    const ofRun = (events: readonly FeedEventBody[], id: string) => [
      ...new Set(events.filter((each) => each.subject.id === id && each.sequence !== undefined).map((e) => e.sequence)),
    ];
    await until('the feed has all of it', async () => {
      await read('&wait=1');
      return [...truth].every(([id, numbers]) => ofRun(seen, id).length >= numbers.length);
    });
    for (const [id, numbers] of truth) expect(ofRun(seen, id)).toEqual(numbers);
    const hasAll = (events: readonly FeedEventBody[]) =>
      [...truth].every(([id, numbers]) => ofRun(events, id).length >= numbers.length);
    const followed = await until('the follower has it too', () => hasAll(following.told()) && following.told());
    for (const [id, numbers] of truth) expect(ofRun(followed, id)).toEqual(numbers);
    expect(new Set(followed.map(({ id }) => id)).size).toBe(followed.length);
    expect(await following.stop()).toContain('To go on from here: candor events -f --after ');
  });
});
