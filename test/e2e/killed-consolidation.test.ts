import { setTimeout } from 'node:timers/promises'
import { expect, onTestFinished, test } from 'vitest'
import { createArtifactStore, createConsolidationStore } from '#artifacts'
import { migrate, openDatabase } from '#database'
import { createEpisodeStore } from '#episodes'
import { startProgram } from '../support/child-process.ts'
import { rememberDay } from '../support/labelled-day.ts'
import { temporaryFolder } from '../support/service-process.ts'
import { MIGRATIONS, silent } from '../support/test-database.ts'

const WORKER = `${import.meta.dirname}/consolidation-worker.ts`

test('a worker killed with SIGKILL in training leaves no process behind, and the next worker finishes the consolidation', async () => {
  await using folder = await temporaryFolder()
  const open = () => openDatabase({ dataDir: folder.path, logger: silent })
  const start = () => {
    const worker = startProgram(WORKER, { args: [folder.path] })
    onTestFinished(() => worker.kill().catch(() => {}))
    return worker
  }

  const before = await open()
  await migrate(before.pool, MIGRATIONS)
  await rememberDay(createEpisodeStore({ database: before }), { questions: 100 })
  const { id } = await createConsolidationStore({ database: before }).request({
    fingerprint: 'model-1',
    kinds: ['lrm'],
    force: false,
    trigger: 'request',
  })
  await before.close()

  const first = start()
  const trainer = Number((await first.line('trainer ')).split(' ')[1])
  expect(first.lines).toContain('step train')
  await setTimeout(200)
  await first.kill()
  expect(first.lines.filter((line) => line.startsWith('ended'))).toEqual([])
  await expect.poll(() => isAlive(trainer), { timeout: 10_000 }).toBe(false)

  const second = start()
  await second.line('ended promoted')
  await second.kill()

  const after = await open()
  onTestFinished(() => after.close())
  expect(await createConsolidationStore({ database: after }).get(id)).toMatchObject({
    status: 'promoted',
    attempts: 2,
    progress: 1,
    artifacts: [{ version: 'lrm-1' }],
  })
  const made = await createArtifactStore({ database: after }).list({ limit: 10 })
  expect(made).toMatchObject([
    { version: 'lrm-1', consolidationId: id, active: true, episodes: expect.any(Number) },
  ])
}, 120_000)

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}
