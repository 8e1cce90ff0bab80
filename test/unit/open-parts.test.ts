/** @file Parts of a process: closed in reverse order, also those that open while the process ends. */

import { expect, test, vi } from 'vitest'
import { openParts } from '../../src/open-parts.ts'

function recorder() {
  const closed: string[] = []
  const part = (name: string) => ({ close: async () => void closed.push(name) })
  return { closed, part }
}

test('closes parts in the reverse order of their opening, once', async () => {
  const { closed, part } = recorder()
  const { keep, open, close, isClosing } = openParts()
  keep(part('first'))
  await open(async () => part('second'))
  expect(isClosing()).toBe(false)
  await close()
  await close()
  expect(isClosing()).toBe(true)
  expect(closed).toEqual(['second', 'first'])
})

test('closes a part that is kept after the end has begun, and stops the start', async () => {
  const { closed, part } = recorder()
  const { keep, open, close } = openParts()
  const closing = close()
  expect(() => keep(part('late'))).toThrow(expect.objectContaining({ code: 'ABORTED' }))
  await closing
  expect(closed).toEqual(['late'])
  await expect(open(() => expect.unreachable('opened'))).rejects.toMatchObject({ code: 'ABORTED' })
})

test('waits at the end for a part that is still opening, and closes it before its elders', async () => {
  const { closed, part } = recorder()
  const { keep, open, close } = openParts()
  const engine = Promise.withResolvers<ReturnType<typeof part>>()
  keep(part('database'))
  const opened = open(() => engine.promise)
  const stopped = expect(opened).rejects.toMatchObject({ code: 'ABORTED' })
  const closing = close()
  expect(closed).toEqual([])
  engine.resolve(part('engine'))
  await closing
  await stopped
  expect(closed).toEqual(['engine', 'database'])
})

test('every call of close waits for all parts', async () => {
  const { closed, part } = recorder()
  const { open, close } = openParts()
  const engine = Promise.withResolvers<ReturnType<typeof part>>()
  const opened = open(() => engine.promise).catch(() => {})
  const first = close()
  const second = close().then(() => [...closed])
  engine.resolve(part('engine'))
  expect(await second).toEqual(['engine'])
  await Promise.all([first, opened])
})

test('a late part that fails to close does not end the process in another way', async () => {
  const unhandled = vi.fn()
  process.on('unhandledRejection', unhandled)
  const { keep, close } = openParts()
  await close()
  expect(() => keep({ close: () => Promise.reject(new Error('stuck')) })).toThrow()
  await new Promise((resolve) => setTimeout(resolve, 20))
  process.off('unhandledRejection', unhandled)
  expect(unhandled).not.toHaveBeenCalled()
})

test('closes the others when a part fails to open', async () => {
  const { closed, part } = recorder()
  const { keep, open, close } = openParts()
  keep(part('database'))
  await expect(open(() => Promise.reject(new Error('no model')))).rejects.toThrow('no model')
  await close()
  expect(closed).toEqual(['database'])
})
