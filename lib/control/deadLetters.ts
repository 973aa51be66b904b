/** The queues of what could not be delivered, by what it was meant for. */
export const DEAD_LETTERS = ['schedule', 'fire', 'events', 'execution-ended'] as const;
