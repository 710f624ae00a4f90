import { defineConfig } from 'vitest/config';
import { CountsReporter } from './scripts/countsReporter.js';

/** `vitest run` runs all but the interoperability suite, `vitest run --project interop` that one (it wants Java). */
export default defineConfig({
  test: {
    reporters: ['default', new CountsReporter()],
    maxWorkers: 2,
    projects: [
      {
        test: {
          name: 'main',
          include: ['test/**/*.test.ts'],
          exclude: ['test/interop/**'],
          setupFiles: ['test/support/setup.ts'],
          testTimeout: 30_000,
          hookTimeout: 180_000,
          pool: 'forks',
        },
      },
      {
        test: {
          name: 'interop',
          include: ['test/interop/**/*.test.ts'],
          setupFiles: ['test/support/setup.ts'],
          testTimeout: 120_000,
          hookTimeout: 180_000,
          pool: 'forks',
          fileParallelism: false,
        },
      },
    ],
  },
});
