/** @file Engine processes that live but do not answer: they are replaced, and none outlives its service. */

import { fileURLToPath } from 'node:url'
import { pino } from 'pino'
import { expect, onTestFinished, suite, test, vi } from 'vitest'
import { createEngine, type Engine, type EngineStatus } from '#engine'
import { createSolver } from '#solving'
import { makeProblems } from '../../../models/order-of-operations/problems.ts'
import { startProgram } from '../../support/child-process.ts'

const MODEL = fileURLToPath(new URL('../../../models/order-of-operations', import.meta.url))
const PARENT = fileURLToPath(new URL('./engine-parent.ts', import.meta.url))
const LIMIT_MS = 1000
const problems = makeProblems({ split: 'heldout', count: 64, seed: 94 })

const isAlive = (pid: number) => {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}

async function start(replicas: number) {
  const lines: string[] = []
  const logger = pino({ level: 'info' }, { write: (line: string) => void lines.push(JSON.parse(line).msg) })
  const options = { directory: MODEL, executionProvider: 'cpu', cudaDevice: 0, logger } as const
  const engine = await createEngine({ ...options, replicas, heartbeatLimitMs: LIMIT_MS })
  onTestFinished(() => engine.close())
  const solver = createSolver({ engine, episodes: null, logger })
  const solve = (index: number) =>
    solver.solve(
      {
        tenantId: 'default',
        question: problems[index % problems.length]!.question,
        strategy: 'majority',
        samples: 32,
        learn: false,
        explain: false,
        seed: index,
      },
      { signal: new AbortController().signal },
    )
  return { engine, solve, lines }
}

/** Collects the states of one replica until it has been replaced. */
async function statesUntilReplaced(engine: Engine, replica: number): Promise<Set<EngineStatus['state']>> {
  const states = new Set<EngineStatus['state']>()
  const { restarts } = engine.status().replicas[replica]!
  await vi.waitFor(
    () => {
      const status = engine.status().replicas[replica]!
      states.add(status.state)
      expect(status.restarts).toBe(restarts + 1)
    },
    { timeout: LIMIT_MS + 20_000, interval: 2 },
  )
  return states
}

suite('a stopped engine process', () => {
  test('is killed and replaced, and the requests in it are answered', async () => {
    const { engine, solve, lines } = await start(1)
    const expected = await solve(0)
    expect(engine.status().heartbeatAgeMs).toBeLessThan(LIMIT_MS)

    const pid = engine.status().pid!
    const asked = [0, 1, 2, 3].map(solve)
    await vi.waitFor(() => expect(engine.status().runningRows).toBeGreaterThan(0), { interval: 1 })
    const stoppedAt = performance.now()
    process.kill(pid, 'SIGSTOP')
    const states = await statesUntilReplaced(engine, 0)
    expect(performance.now() - stoppedAt).toBeLessThan(LIMIT_MS + 5000)
    expect([...states]).toEqual(['ready', 'unhealthy'])
    const [first] = await Promise.all(asked)
    // It shares its batch with three others now, and sums in another order.
    expect(first).toMatchObject({ answer: expected.answer, reward: expect.closeTo(expected.reward, 5) })
    expect(lines).toContain('engine process hung and was killed, starting another')
    expect(lines.filter((line) => line.startsWith('engine crashed during a request'))).toHaveLength(4)
    await vi.waitFor(() => expect(isAlive(pid)).toBe(false))
  })

  test('is noticed without a request, and other replicas answer meanwhile', async () => {
    const { engine, solve } = await start(2)
    process.kill(engine.status().replicas[0]!.pid!, 'SIGSTOP')
    const replaced = statesUntilReplaced(engine, 0)
    await vi.waitFor(() => expect(engine.status().replicas[0]!.state).toBe('unhealthy'), {
      timeout: LIMIT_MS + 5000,
      interval: 2,
    })
    expect(engine.status()).toMatchObject({ state: 'ready', restarts: 0 })
    expect((await solve(1)).answer).not.toBeNull()
    await replaced
    expect(engine.status().replicas.map(({ state }) => state)).toEqual(['ready', 'ready'])
  })

  test('goes with its service, when that exits by itself', async () => {
    const parent = startProgram(PARENT, { args: [MODEL] })
    onTestFinished(() => parent.kill())
    const pid = Number(await parent.line(''))
    process.kill(pid, 'SIGSTOP')
    parent.process.kill('SIGTERM')
    await vi.waitFor(() => expect(isAlive(pid)).toBe(false), { timeout: 5000 })
  })
})
