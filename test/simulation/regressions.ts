/** Seeds that once broke an invariant. A seed is the same world only as long as nothing that draws from it has changed. */
export interface Regression {
  readonly seed: number;
  /** The guard or fence that its world led to. */
  readonly aim?: string;
  readonly invariant: string;
  readonly what: string;
}

export const REGRESSIONS: readonly Regression[] = [
  { seed: 89, invariant: 'truth', what: 'a released VM forgot the id of what was launched for it' },
  { seed: 764, invariant: '§5.6', what: 'a log of the feed began again by an end that was read before its head' },
  { seed: 932, invariant: '§1.6', what: 'a run that was let go was looked at after its queue deadline' },
  { seed: 2604, invariant: '§5.6', what: 'a log of the feed began again by an end that was read before its head' },
  { seed: 11474, invariant: 'truth', what: 'a VM was gone though an unanswered launch had brought an instance' },
  {
    seed: 330,
    aim: 'looks.ownInstanceAppears',
    invariant: 'truth',
    what: 'a refusal closed a launch that had not been answered',
  },
  {
    seed: 702,
    aim: 'looks.ownInstanceAppears',
    invariant: 'truth',
    what: 'a refusal closed a launch that had not been answered',
  },
  {
    seed: 353,
    aim: 'looks.launchSettled',
    invariant: '§1.6',
    what: 'an early look put a draining VM off beyond its deadline',
  },
  { seed: 32975, invariant: '§1.6', what: 'the next look at a run that had begun was put off as at one that waits' },
  { seed: 32394, invariant: 'I10', what: 'who had let in an attempt began the next one, which nobody had let in' },
  {
    seed: 518926,
    aim: 'escalate.noHeartbeatSince',
    invariant: 'I9',
    what: 'a VM that was given up started another run, which was ended with it',
  },
  {
    seed: 53,
    aim: 'agent.unchanged',
    invariant: '§1.6',
    what: 'a VM that was given up while it drained by order was looked at by a lease that counted no more',
  },
  {
    seed: 98,
    aim: 'correction.once',
    invariant: '§1.6',
    what: 'a VM that was given up was looked at early, and then after its deadline',
  },
  {
    seed: 1,
    aim: 'heard.unchanged',
    invariant: 'I8',
    what: 'who stood still noted a heartbeat over the later ones of others, and the fleet seemed to have been silent',
  },
];
