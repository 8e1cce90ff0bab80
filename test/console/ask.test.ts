/** @file The view Ask in a real browser, on the service with the bundled model. */

import type { Browser } from 'playwright-core'
import { afterAll, beforeAll, expect, inject, test } from 'vitest'
import { openConsole, startBrowser } from './browser.ts'

let browser: Browser
beforeAll(async () => {
  browser = await startBrowser()
})
afterAll(() => browser.close())

test('a question is answered', async () => {
  await using opened = await openConsole(browser, inject('consoleOrigin'))
  const { page, complaints } = opened
  await page.getByLabel('Question').fill('Eve at the till: 6 + 4 * 7 - 4 - 5 = ?')
  await page.getByRole('button', { name: 'Ask', exact: true }).click()
  await page.getByRole('region', { name: 'Answer' }).waitFor()
  expect(complaints).toEqual([])
})
