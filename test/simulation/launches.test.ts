import { expect, it } from 'vitest';
import type { VmRow } from '../../core/vms/model.ts';
import type { Ec2Instance } from './ec2.ts';
import { Timeline } from './heap.ts';
import { BESIDE_MS_MAX, LaunchRules } from './launchRules.ts';
import type { Simulation } from './world.ts';

type Shown = Pick<Ec2Instance, 'state' | 'isSurplus' | 'token'>;

/** A VM whose launches were written down under these tokens, the later ones while there was no answer or after a refusal. */
function worldWith(...tokens: readonly { readonly token: string; readonly unanswered?: boolean }[]) {
  const broken: string[] = [];
  const instances: Ec2Instance[] = [];
  const time = new Timeline(0);
  const world = {
    isCalm: false,
    time,
    ec2: { instances },
    broken: (_: string, what: string) => broken.push(what),
  };
  const rules = new LaunchRules(world as unknown as Simulation);
  const rowOf = (clientToken: string | undefined, open: boolean) =>
    ({ id: 'vm', intent: { clientToken, open } }) as unknown as VmRow;
  for (const { token, unanswered = false } of tokens)
    rules.intended(unanswered ? rowOf('asked', true) : rowOf(undefined, false), rowOf(token, true));
  const launch = (more: Partial<Shown>): Ec2Instance => {
    const id = `i-${instances.length}`;
    const made = { id, vmId: 'vm', state: 'running', isSurplus: false, token: 'one', ...more } as Ec2Instance;
    instances.push(made);
    rules.launched(made);
    return made;
  };
  return { broken, launch, time, world };
}

it('one launch that brings two instances is found, asked for under another token while there was no answer', () => {
  const { broken, launch } = worldWith({ token: 'one' }, { token: 'other', unanswered: true });
  launch({});
  launch({ isSurplus: true });
  expect(broken).toEqual([]);
  launch({ token: 'other' });
  expect(broken).toEqual(['vm gets i-2 and i-0 for one launch']);
});

it('two launches, of which one was refused, may bring two for a while, and not for long once nothing goes wrong', async () => {
  const { broken, launch, time, world } = worldWith({ token: 'one' }, { token: 'other' });
  launch({});
  launch({ token: 'other' });
  await time.run(BESIDE_MS_MAX - 1);
  world.isCalm = true;
  await time.run(2 * BESIDE_MS_MAX - 1);
  expect(broken).toEqual([]);
  await time.run(2 * BESIDE_MS_MAX + 1);
  expect(broken).toEqual(['vm has i-0 and i-1, and nobody ends either']);
});

it('one of them that is being ended is not beside the other', async () => {
  const { broken, launch, time, world } = worldWith({ token: 'one' }, { token: 'other' });
  world.isCalm = true;
  const first = launch({});
  launch({ token: 'other' });
  first.state = 'shutting-down';
  await time.run(2 * BESIDE_MS_MAX);
  expect(broken).toEqual([]);
});
