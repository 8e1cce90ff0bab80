import { pino } from 'pino'
import { expect, test, vi } from 'vitest'
import { startDeletions } from '../../../src/jobs/run-deletions.ts'

test('goes on after a failure, which it logs', async () => {
  const lines: { msg: string; err: { message: string } }[] = []
  const connect = vi.fn(async () => {
    throw new Error('away')
  })
  const deletions = startDeletions({
    database: { pool: { connect } as never },
    logger: pino({ level: 'info' }, { write: (line: string) => void lines.push(JSON.parse(line)) }),
  })
  await vi.waitFor(() => expect(connect).toHaveBeenCalledTimes(2), 5_000)
  await deletions.close()
  expect(lines).toMatchObject([{ msg: 'deletion of episodes failed: trying again' }])
})
