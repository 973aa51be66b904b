/** One tick of the watchdog, as its function is called. */
import { tick } from '../../core/watchdog/tick.ts';
import type { Simulation } from './world.ts';

const BUDGET_MS = 45_000;

export const watchdogTick = (world: Simulation) =>
  world.invoke('watchdog', (ports) => tick(ports, { owner: 'simulated', budgetMs: BUDGET_MS }));
