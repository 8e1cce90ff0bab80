import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { constants, setPriority } from 'node:os'
import { setTimeout } from 'node:timers/promises'
import { expect, onTestFinished, test, vi } from 'vitest'
import { createCpuWait } from '../../../src/engine/cpu-wait.ts'

const hasCounters = existsSync('/proc/self/task') && existsSync('/proc/self/schedstat')

function start(source: string): { readonly pid: number; readonly ended: Promise<unknown> } {
  const child = spawn(process.execPath, ['-e', source], { stdio: 'ignore' })
  onTestFinished(() => void child.kill('SIGKILL'))
  setPriority(child.pid!, constants.priority.PRIORITY_LOW)
  return { pid: child.pid!, ended: once(child, 'exit') }
}

test.runIf(hasCounters)(
  'grows for a process beside others that keep the CPUs busy',
  async () => {
    const busy = 'for (const end = Date.now() + 8000; Date.now() < end; );'
    // More processes than CPUs, so that each waits.
    const { availableParallelism } = await import('node:os')
    const pids = Array.from({ length: 2 * availableParallelism() }, () => start(busy).pid)
    const wait = createCpuWait(pids[0]!)
    await setTimeout(2000)
    const waited = wait()
    expect(waited).toBeGreaterThan(200)
    expect(waited).toBeLessThan(4000)
  },
  20_000,
)

test('does not grow for a process that is stopped, and for one that is gone', async () => {
  const { pid, ended } = start('setTimeout(() => {}, 1e6)')
  await setTimeout(300)
  process.kill(pid, 'SIGSTOP')
  // Each thread waits for a CPU to receive the signal.
  const isStopped = () => {
    for (const thread of readdirSync(`/proc/${pid}/task`))
      expect(readFileSync(`/proc/${pid}/task/${thread}/stat`, 'utf8')).toContain(') T ')
  }
  if (hasCounters) await vi.waitFor(isStopped, 10_000)
  const wait = createCpuWait(pid)
  await setTimeout(500)
  expect(wait()).toBe(0)
  process.kill(pid, 'SIGKILL')
  await ended
  expect(wait()).toBe(0)
  expect(createCpuWait(2 ** 30)()).toBe(0)
}, 20_000)
