import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { constants, setPriority } from 'node:os'
import { setTimeout } from 'node:timers/promises'
import { expect, onTestFinished, test } from 'vitest'
import { createCpuWait } from '../../../src/engine/cpu-wait.ts'

const hasCounters = existsSync('/proc/self/task') && existsSync('/proc/self/schedstat')

function start(source: string): number {
  const child = spawn(process.execPath, ['-e', source], { stdio: 'ignore' })
  onTestFinished(() => void child.kill('SIGKILL'))
  setPriority(child.pid!, constants.priority.PRIORITY_LOW)
  return child.pid!
}

test.runIf(hasCounters)(
  'grows for a process beside others that keep the CPUs busy',
  async () => {
    const busy = 'for (const end = Date.now() + 8000; Date.now() < end; );'
    // More processes than CPUs, so that each waits.
    const { availableParallelism } = await import('node:os')
    const pids = Array.from({ length: 2 * availableParallelism() }, () => start(busy))
    const wait = createCpuWait(pids[0]!)
    await setTimeout(2000)
    const waited = wait()
    expect(waited).toBeGreaterThan(200)
    expect(waited).toBeLessThan(4000)
  },
  20_000,
)

test('does not grow for a process that is stopped, and for one that is gone', async () => {
  const pid = start('setTimeout(() => {}, 1e6)')
  await setTimeout(1000)
  process.kill(pid, 'SIGSTOP')
  const wait = createCpuWait(pid)
  await setTimeout(500)
  // It waits for a CPU once, to receive the signal.
  expect(wait()).toBeLessThan(100)
  process.kill(pid, 'SIGKILL')
  await setTimeout(200)
  expect(wait()).toBe(0)
  expect(createCpuWait(2 ** 30)()).toBe(0)
})
