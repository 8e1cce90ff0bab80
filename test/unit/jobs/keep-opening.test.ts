import { expect, test, vi } from 'vitest'
import { keepOpening } from '../../../src/jobs/keep-opening.ts'

test('tries again after 1 s, growing to 30 s, and closes what it opened', async () => {
  let attempts = 0
  const pauses: number[] = []
  const closed: string[] = []
  const opening = keepOpening({
    open: async () => {
      attempts++
      if (attempts < 9) throw new Error('refused')
      return 'part'
    },
    close: async (part) => closed.push(part),
    onFailure: () => false,
    pause: async (ms) => pauses.push(ms),
  })
  await expect(opening.get()).rejects.toThrow('refused')
  expect(opening.current()).toBeNull()
  await vi.waitFor(() => expect(opening.current()).toBe('part'))
  expect(pauses).toEqual([1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000, 30_000])
  expect(await opening.get()).toBe('part')
  await Promise.all([opening.close(), opening.close()])
  expect(closed).toEqual(['part'])
})

test('stops when the error cannot pass', async () => {
  const open = vi.fn(async () => {
    throw new Error('no right')
  })
  const opening = keepOpening({ open, close: async () => {}, onFailure: () => true, pause: async () => {} })
  await expect(opening.get()).rejects.toThrow('no right')
  await new Promise((resolve) => setImmediate(resolve))
  expect(open).toHaveBeenCalledTimes(1)
  await opening.close()
})

test('closes at once during a pause and during an attempt', async () => {
  const pausing = keepOpening({
    open: async () => {
      throw new Error('refused')
    },
    close: async () => {},
    onFailure: () => false,
  })
  await expect(pausing.get()).rejects.toThrow('refused')
  await pausing.close()

  const trying = keepOpening({
    open: (stopping) =>
      new Promise<never>((_, reject) =>
        stopping.addEventListener('abort', () => reject(new Error('stopped'))),
      ),
    close: async () => {},
    onFailure: () => false,
  })
  await trying.close()
  await expect(trying.get()).rejects.toThrow('queue closed')
})
