import { availableParallelism, tmpdir } from 'node:os'
import { join } from 'node:path'
import { defineConfig } from 'vitest/config'

// ONNX Runtime reads this when it loads, which some tests do in the test process.
process.env['ORT_DISABLE_TELEMETRY'] = '1'
// Each of the many processes that tests start finds its sources compiled, without their types. The folder is
// Node's own default.
process.env['NODE_COMPILE_CACHE'] ??= join(tmpdir(), 'node-compile-cache')

/** Upper bounds on the files that run at the same time. Vitest's own would leave one core of two idle. */
const cores = availableParallelism()
/** A test that takes longer hangs: the bounds that tests state are their own. */
const quick = { maxWorkers: cores, testTimeout: 30_000 }
/** Each file starts services of several processes, and waits for them. */
const maxServices = Math.min(cores, 4)

/**
 * Projects by what they need: `unit` and `contract` nothing, `e2e` the embedded service, `engine` (whose bounds are of
 * milliseconds) a machine without other tests, `console` chromium, `integration` real servers, `gpu` a GPU, `ecosystem` the clients that
 * .ci/ecosystem installs.
 */
export default defineConfig({
  test: {
    projects: [
      { test: { name: 'unit', include: ['test/unit/**/*.test.ts'], ...quick } },
      { test: { name: 'contract', include: ['test/contract/**/*.test.ts'], ...quick } },
      {
        test: {
          name: 'e2e',
          include: ['test/e2e/**/*.test.ts'],
          exclude: ['test/e2e/engine/**'],
          globalSetup: ['test/support/embedded-template.ts'],
          maxWorkers: maxServices,
          sequence: { groupOrder: 1 },
          testTimeout: 60_000,
          hookTimeout: 60_000,
        },
      },
      {
        test: {
          name: 'engine',
          include: ['test/e2e/engine/**/*.test.ts'],
          fileParallelism: false,
          testTimeout: 60_000,
          hookTimeout: 60_000,
        },
      },
      {
        test: {
          name: 'console',
          include: ['test/console/**/*.test.ts'],
          expect: { poll: { timeout: 20_000 } },
          globalSetup: ['test/console/service.ts'],
          // All files share a service and the cores of its engine.
          fileParallelism: false,
          testTimeout: 180_000,
          hookTimeout: 60_000,
        },
      },
      {
        test: {
          name: 'ecosystem',
          include: ['test/ecosystem/**/*.test.ts'],
          testTimeout: 600_000,
          hookTimeout: 180_000,
        },
      },
      {
        test: {
          name: 'gpu',
          include: ['test/gpu/**/*.test.ts'],
          fileParallelism: false,
          testTimeout: 120_000,
        },
      },
      {
        test: {
          name: 'integration',
          include: ['test/integration/**/*.test.ts'],
          globalSetup: ['test/support/servers.ts'],
          maxWorkers: 2,
          sequence: { groupOrder: 2 },
          testTimeout: 60_000,
          hookTimeout: 60_000,
        },
      },
    ],
  },
})
