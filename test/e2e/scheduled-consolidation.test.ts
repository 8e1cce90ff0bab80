import { expect, test } from 'vitest'
import type { Consolidation, NightReport } from '#artifacts'
import { startService } from '../support/service-process.ts'
import { dataFolder } from '../support/test-database.ts'

test('npm start runs consolidations on its schedule and reports them', async () => {
  await using folder = await dataFolder()
  await using service = await startService({
    DATA_DIR: folder.path,
    NIGHT_CRON: '* * * * * *',
    NIGHT_EVIDENCE_QUESTIONS: '0',
  })
  const list = async () =>
    (await service.ask<{ consolidations: Consolidation[] }>('/admin/consolidations')).body.consolidations
  await expect.poll(list, { timeout: 2_500, interval: 500 }).toEqual([])

  await service.ask('/solve', { body: { question: 'Eve at the till: 6 + 4 * 7 - 4 - 5 = ?' } })
  await expect
    .poll(list, { timeout: 30_000 })
    .toMatchObject([{ trigger: 'schedule', status: 'rejected', step: 'report' }])
  const [consolidation] = await list()
  const report = await service.ask<NightReport>(`/admin/consolidations/${consolidation!.id}/report`)
  expect(report.body).toMatchObject({
    artifacts: [
      { kind: 'weaver', status: 'skipped' },
      { kind: 'lrm', status: 'skipped' },
      { kind: 'judge', status: 'skipped' },
    ],
  })
  // Without new episodes the following seconds start no consolidation.
  await new Promise((resolve) => setTimeout(resolve, 2_500))
  expect(await list()).toHaveLength(1)
})
