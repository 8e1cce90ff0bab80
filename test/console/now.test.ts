/** @file The view Now in a real browser. */

import type { Browser } from 'playwright-core'
import { afterAll, beforeAll, expect, inject, test } from 'vitest'
import { createClient } from '../../clients/typescript/src/index.ts'
import { SOLUTION } from '../support/http-app.ts'
import { isPictured, openConsole, screenshot, startBrowser } from './browser.ts'
import { startScripted } from './scripted.ts'

let browser: Browser
beforeAll(async () => {
  browser = await startBrowser()
})
afterAll(() => browser.close())

test('figures of the service arrive while it works', async () => {
  const client = createClient({ baseUrl: inject('consoleOrigin') })
  const question = 'Zoe at the mirror: 9 - 3 - 2 * 4 = ?'
  await using opened = await openConsole(browser, inject('consoleOrigin'), { height: 1500 })
  const { page, complaints } = opened
  await page.getByRole('link', { name: 'Now' }).click()
  const engine = page.getByRole('region', { name: 'Engine' })
  await engine.waitFor()
  const decoded = async () =>
    Number(/([\d\u202f]+) decoded/.exec((await engine.textContent()) ?? '')?.[1]?.replace('\u202f', ''))
  const before = await decoded()
  for (const strategy of ['greedy', 'latentseek', 'majority', 'auto'] as const)
    for (let turn = 0; turn < (isPictured ? 3 : 1); turn++)
      await client.solve({ question, strategy, learn: false })
  await expect.poll(decoded).toBeGreaterThan(before)
  const latency = page.getByRole('region', { name: 'Latency' })
  await expect
    .poll(() => latency.getByRole('row').allTextContents())
    .toEqual(expect.arrayContaining([expect.stringMatching(/^greedy[1-9].*s.*s0\.00/)]))
  expect(await page.getByRole('region', { name: 'Served' }).textContent()).toMatch(
    /order-of-operations.*1 of 1 process ready on cpu.*Weaver/,
  )
  expect(await page.getByLabel('Parts').getByRole('listitem').allTextContents()).toEqual([
    'database works',
    'queue works',
    'engine works',
    'model works',
  ])
  await screenshot(page, 'now')
  expect(complaints).toEqual([])
})

test('a part that is missing is named, and figures that cannot be read are no zeros', async () => {
  const ok = { ok: true }
  await using service = await startScripted(async () => SOLUTION, {
    health: async () => ({
      database: { ok: false, detail: 'refuses writes' },
      queue: ok,
      engine: { ok: false, detail: 'restarting' },
      model: ok,
    }),
    metrics: async () => ({
      contentType: 'text/plain',
      text: 'circadian:num_rows_running 2\ncircadian:artifact_info{kind="weaver",version="weaver \\"3\\"",form="none"} 1\n',
    }),
  })
  await using opened = await openConsole(browser, service.origin)
  const { page, complaints } = opened
  await page.getByRole('link', { name: 'Now' }).click()
  await page.getByText('refuses writes').waitFor()
  await page.getByText('restarting').waitFor()
  expect(await page.getByRole('region', { name: 'In the background' }).textContent()).toMatch(
    /Outbox–database does not answer/,
  )
  expect(await page.getByRole('region', { name: 'Served' }).textContent()).toContain('weaver "3"')
  await page.getByText('No question yet').waitFor()
  expect(complaints).toEqual([])
})
