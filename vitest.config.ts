import { defineConfig } from 'vitest/config';

/**
 * unit: no I/O.  loopback: real sockets, our own fakes, the built bundle.  Both run under `npm test` and need Node only.
 * integration: real registries, emulators of the clouds, a network namespace.  e2e: real engines.  matrix, fuzz and soak: by hand.
 *
 * These two load our modules once per worker (`isolate: false`): their tests leave nothing behind in their process.
 */
const build = './test/setup/build-bundle.ts';
const cpu = './test/setup/cpu-seconds.ts';
const secrets = './test/setup/forget-secrets.ts';
const folder = './test/setup/temporary-folder.ts';

/** Guards against tests that hang; a busy machine never reaches them. Speed is measured in test/bench. */
const HANG_MS = 180_000;

/** A failure's message shows the compared values: CI's summary and its JSON reports have no diff. */
const chaiConfig = { truncateThreshold: 2_000 };

export default defineConfig({
  test: {
    // Failures and a summary.
    reporters: ['minimal'],
    // Transformed modules of earlier runs and of other tiers, by the hash of their text.
    experimental: { fsModuleCache: true, fsModuleCachePath: '.cache/vitest' },
    projects: [
      {
        test: {
          name: 'unit',
          chaiConfig,
          include: ['test/unit/**/*.test.ts'],
          setupFiles: [cpu, secrets, './test/setup/warnings.ts'],
          globalSetup: folder,
          isolate: false,
          testTimeout: HANG_MS,
          hookTimeout: HANG_MS,
        },
      },
      {
        test: {
          name: 'loopback',
          chaiConfig,
          include: ['test/integration/loopback/**/*.test.ts'],
          setupFiles: [cpu, secrets],
          isolate: false,
          globalSetup: [folder, build],
          testTimeout: HANG_MS,
          hookTimeout: HANG_MS,
        },
      },
      {
        test: {
          name: 'integration',
          chaiConfig,
          setupFiles: cpu,
          include: ['test/integration/{real,emulators,attack}/**/*.test.ts'],
          globalSetup: [folder, build],
          testTimeout: 600_000,
          hookTimeout: 1_800_000,
        },
      },
      {
        test: {
          name: 'e2e',
          chaiConfig,
          setupFiles: cpu,
          include: ['test/e2e/**/*.test.ts'],
          globalSetup: build,
          // Engines have deadlines, which other suites must not make them miss.
          fileParallelism: false,
          testTimeout: 600_000,
          hookTimeout: 3_600_000,
        },
      },
      {
        test: {
          name: 'soak',
          chaiConfig,
          include: ['test/soak/**/*.test.ts'],
          globalSetup: build,
          fileParallelism: false,
          testTimeout: 900_000,
          hookTimeout: 3_600_000,
        },
      },
      {
        test: {
          name: 'matrix',
          chaiConfig,
          include: ['test/matrix/**/*.test.ts'],
          globalSetup: build,
          fileParallelism: false,
          testTimeout: 3_600_000,
          hookTimeout: 3_600_000,
        },
      },
      { test: { name: 'fuzz', chaiConfig, include: ['test/fuzz/**/*.test.ts'], testTimeout: 1_800_000 } },
    ],
  },
});
