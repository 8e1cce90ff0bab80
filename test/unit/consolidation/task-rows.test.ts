import { expect, test } from 'vitest'
import type { OpenTask, TaskRunner } from '#ports'
import { createTaskRows, inPieces } from '../../../src/consolidation/task-rows.ts'

const MIB = 2 ** 20

function recording() {
  const events: unknown[] = []
  const task: OpenTask = {
    add: async (rows) => void events.push(rows),
    async run(options) {
      events.push(options)
      return { value: 'done' }
    },
    close: async () => void events.push('closed'),
  }
  const runner: TaskRunner = {
    async openTask(name) {
      events.push(`opened ${name}`)
      return task
    },
  }
  return { events, runner }
}

const { signal } = new AbortController()

test('sends rows in messages of about 2 MiB, the rest before the run', async () => {
  const { events, runner } = recording()
  const rows = createTaskRows(runner, 'train')
  for (let row = 0; row < 5; row++) await rows.add(row, MIB)
  expect(await rows.run('options', { signal })).toEqual({ value: 'done' })
  await rows.close()
  expect(events).toEqual(['opened train', [0, 1], [2, 3], [4], 'options', 'closed'])
})

test('opens no task that is not needed', async () => {
  const { events, runner } = recording()
  const rows = createTaskRows(runner, 'train')
  await rows.add('small', 100)
  await rows.close()
  expect(events).toEqual([])
})

test('splits bytes into pieces that fit into a message', () => {
  const bytes = Uint8Array.from({ length: 2 * MIB + 5 }, (_, index) => index % 256)
  const pieces = inPieces(bytes)
  expect(pieces.map(({ length }) => length)).toEqual([2 * MIB, 5])
  expect(Buffer.concat(pieces).equals(bytes)).toBe(true)
  expect(inPieces(new Uint8Array())).toEqual([])
})

test('rows that are added at once go to one task, in order', async () => {
  const opened: unknown[][] = []
  const runner = {
    async openTask() {
      const rows: unknown[] = []
      opened.push(rows)
      await new Promise((done) => setTimeout(done, 5))
      return {
        add: async (added: readonly unknown[]) => void rows.push(...added),
        run: async () => ({ value: null }),
        close: async () => {},
      }
    },
  }
  const task = createTaskRows(runner, 'any')
  await Promise.all([1, 2, 3].map((row) => task.add(row, 2 ** 22)))
  await task.run({}, { signal: new AbortController().signal })
  expect(opened).toEqual([[1, 2, 3]])
})
