/** @file How large the page is, how soon it is there, and whether it freezes; prints the figures. */

import type { Browser } from 'playwright-core'
import { afterAll, beforeAll, expect, inject, test } from 'vitest'
import { readConsole } from '#console'
import { SOLUTION } from '../support/http-app.ts'
import { openConsole, startBrowser } from './browser.ts'
import { startScripted } from './scripted.ts'
import { watchTasks } from './watch-tasks.ts'

const MAX_BYTES = 150_000
const MAX_FIRST_PAINT_MS = 1_000
const MAX_TASK_MS = 200
const EVENTS = 2_000

let browser: Browser
beforeAll(async () => {
  browser = await startBrowser()
})
afterAll(() => browser.close())

test('the page is small, and there within a second', async () => {
  const files = await readConsole()
  const bytes = files.reduce((sum, { gzip }) => sum + gzip.length, 0)
  await using opened = await openConsole(browser, inject('consoleOrigin'))
  await opened.page.getByLabel('Question').waitFor()
  // The best of three, for other processes share the machine.
  const paints: number[] = []
  for (let visit = 0; visit < 3; visit++) {
    await opened.page.reload()
    await opened.page.getByLabel('Question').waitFor()
    paints.push(
      Number(
        await opened.page.evaluate('performance.getEntriesByName("first-contentful-paint")[0].startTime'),
      ),
    )
  }
  const paint = Math.min(...paints)
  console.log(`console: ${bytes} bytes compressed, first paint after ${Math.round(paint)} ms`)
  expect(bytes).toBeLessThan(MAX_BYTES)
  expect(paint).toBeLessThan(MAX_FIRST_PAINT_MS)
})

test(`${EVENTS} events freeze nothing`, async () => {
  const candidate = { ...SOLUTION.candidates![0]!, kind: 'regeneration' } as const
  await using service = await startScripted(async (_request, { onEvent }) => {
    onEvent?.({ event: 'draft', data: { answer: '0', reasoning: 'left', reward: -1 } })
    for (let index = 1; index <= EVENTS / 4; index++) {
      const reward = -1 + (index % 97) / 100
      const text = `step ${index} of a text that is as long as those of a small model`
      const answer = String(index)
      onEvent?.({ event: 'tokens', data: { text: `${index} `, thought: false } })
      onEvent?.({ event: 'candidate', data: { ...candidate, answer, text, reward } })
      onEvent?.({ event: 'iteration', data: { step: 2 * index - 1, changed: true, answer, reward } })
      onEvent?.({ event: 'iteration', data: { step: 2 * index, changed: false, answer, reward } })
      if (index % 10 === 0) await new Promise((resolve) => setTimeout(resolve, 5))
    }
    return { ...SOLUTION, candidates: [] }
  })
  await using opened = await openConsole(browser, service.origin)
  const { page } = opened
  await page.getByLabel('Question').fill('2 + 2 = ?')
  const stop = await watchTasks(page)
  await page.getByRole('button', { name: 'Ask', exact: true }).click()
  await page.getByText('The search moved the latents').waitFor()
  const moments = Number(await page.getByLabel('Moment of the solve').getAttribute('max')) + 1
  expect(moments).toBe(1 + EVENTS / 2)
  const { tasks, wallMs, cpuMs } = await stop()
  console.log(
    `console: longest of ${tasks} tasks during ${EVENTS} events: ${Math.round(wallMs)} ms, of which ${Math.round(cpuMs)} ms of the processor`,
  )
  expect(cpuMs).toBeGreaterThan(0)
  expect(cpuMs).toBeLessThan(MAX_TASK_MS)
})
