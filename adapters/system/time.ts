import type { Time } from '../../core/ports.ts';

/** This machine's wall clock. */
export const systemTime: Time = {
  now: () => Date.now(),
  sleep: (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds)),
};
