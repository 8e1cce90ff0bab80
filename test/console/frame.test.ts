/** @file The frame of the console in a real browser, and what every view must hold. */

import type { Browser } from 'playwright-core'
import { afterAll, beforeAll, expect, inject, test } from 'vitest'
import { openConsole, screenshot, seriousFaults, startBrowser } from './browser.ts'

let browser: Browser
beforeAll(async () => {
  browser = await startBrowser()
})
afterAll(() => browser.close())

const VIEWS = ['Ask', 'Memory', 'Nights', 'Now'] as const

test.each(VIEWS)('%s has no serious fault of accessibility, light or dark, and fits 390 px', async (view) => {
  for (const dark of [false, true]) {
    await using opened = await openConsole(browser, inject('consoleOrigin'), { dark })
    const { page, complaints } = opened
    await page.getByRole('link', { name: view }).click()
    await page.getByRole('heading', { level: 1, name: view }).waitFor()
    expect(await seriousFaults(page)).toEqual([])
    await page.setViewportSize({ width: 390, height: 844 })
    expect(await page.evaluate('document.documentElement.scrollWidth')).toBeLessThanOrEqual(390)
    expect(complaints).toEqual([])
    if (!dark) await screenshot(page, `${view.toLowerCase()}-phone`)
  }
})
