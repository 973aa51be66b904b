import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    testTimeout: 30_000,
    hookTimeout: 30_000,
    // Two workers: the tests start real engines and real processes, and the machines we aim at have two cores.
    maxWorkers: 2,
  },
});
