/** @file The view Ask in a real browser, on the service with the bundled model. */

import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, expect, inject, test } from 'vitest'
import type { SolveEvent } from '../../clients/typescript/src/index.ts'
import { openConsole, screenshot, seriousFaults, startBrowser } from './browser.ts'
import { relay, startScripted } from './scripted.ts'

let browser: Browser
beforeAll(async () => {
  browser = await startBrowser()
})
afterAll(() => browser.close())

/** The draft of the bundled model fails; the search finds the answer 5. */
const SCHOOL = 'Eve at the school: 6 + 4 * 7 - 4 - 5 = ?'
/** A search of many steps, with a rejected answer on the way to a better one. */
const LONG = 'Tom at the market: 9 + 1 * 7 + 5 - 8 = ?'

async function ask(page: Page, question: string, strategy = 'latentseek'): Promise<void> {
  await page.getByLabel('Question').fill(question)
  await page.getByLabel('Strategy').selectOption(strategy)
  await page.getByRole('button', { name: 'Ask', exact: true }).click()
}

const isAnswered = (page: Page) =>
  page.getByRole('region', { name: 'Answer', exact: true }).and(page.locator('[aria-busy="false"]')).waitFor()

test('a solve is watched to its end, its moments are walked through, feedback shows its effect', async () => {
  await using opened = await openConsole(browser, inject('consoleOrigin'), { height: 1560 })
  const { page, complaints } = opened
  // An example of the loaded model is one click away.
  await page.getByRole('button', { name: SCHOOL }).click()
  await ask(page, SCHOOL)
  await isAnswered(page)
  const outcome = page.getByRole('region', { name: 'Answer', exact: true })
  expect(await outcome.textContent()).toMatch(/The draft answered 1\. The search moved the latents 2 times/)

  const slider = page.getByLabel('Moment of the solve')
  expect(await slider.getAttribute('aria-valuetext')).toMatch(/^Step 2: answer 5, reward .*accepted/)
  // The text is shown against the draft.
  const text = page.getByRole('region', { name: 'Text of the answer' })
  expect([
    await text.locator('del').first().textContent(),
    await text.locator('ins').first().textContent(),
  ]).toEqual(['left', 'times'])
  const verdict = page.getByRole('region', { name: 'Verdict' })
  expect(await verdict.textContent()).toMatch(/correctness9\d/)
  await slider.press('Home')
  expect(await slider.getAttribute('aria-valuetext')).toMatch(/^Draft: answer 1/)
  expect(await text.locator('ins').count()).toBe(0)
  await expect
    .poll(() => page.locator('.latent-path figcaption').textContent())
    .toMatch(/^Start decodes to 1/)
  await slider.press('End')
  await page.locator('.latent-path .target').first().hover()
  expect(await page.locator('.latent-path figcaption').textContent()).toMatch(
    /^Start decodes to 1, .*left : 6/,
  )
  expect(await seriousFaults(page)).toEqual([])

  await page.getByLabel('or the right answer').fill('1')
  await page.getByRole('button', { name: 'Send' }).click()
  await expect
    .poll(() => page.locator('.effect').textContent())
    .toMatch(/labelled wrong by your.*leads no other question/)
  await page.getByRole('button', { name: 'Right', exact: true }).click()
  await expect
    .poll(() => page.locator('.effect').textContent())
    .toMatch(/labelled right by your.*may lead similar questions/)

  await page.getByRole('radio', { name: 'openai-python' }).check()
  await page.getByRole('button', { name: 'Copy' }).click()
  const copied = await page.evaluate('navigator.clipboard.readText()')
  expect(copied).toMatch(
    /model="circadian\/latentseek"[\s\S]*extra_body=\{"circadian": \{"explain": True\}\}/,
  )
  expect(complaints).toEqual([])
  await page.mouse.move(0, 0)
  await page.evaluate('scrollTo(0, 0)')
  await screenshot(page, 'ask')

  // The episode that was confirmed leads the next question.
  await ask(page, SCHOOL, 'auto')
  await expect.poll(() => outcome.textContent()).toMatch(/Memory led: .* moved the start/)
  await page.getByRole('region', { name: 'The solve' }).getByRole('link').first().click()
  await expect.poll(() => page.url()).toMatch(/#\/memory\/[0-9a-f-]{36}$/)
})

test('a solve is seen while it runs, and cancelled', async () => {
  let open = () => {}
  const reached = Promise.withResolvers<void>()
  const gate = new Promise<void>((resolve) => {
    open = resolve
  })
  const pauseAt = async ({ event }: SolveEvent) => {
    if (event !== 'answer') return
    reached.resolve()
    await gate
  }
  await using slow = await startScripted(relay(inject('consoleOrigin'), pauseAt))
  await using opened = await openConsole(browser, slow.origin, { height: 1216 })
  const { page } = opened
  await ask(page, LONG)
  await reached.promise
  const outcome = page.getByRole('region', { name: 'Answer', exact: true })
  await expect.poll(() => outcome.textContent()).toMatch(/Searching: step \d/)
  expect(await page.getByRole('region', { name: 'Text of the answer' }).textContent()).toMatch(/ans \d/)
  await screenshot(page, 'solve')
  await page.getByRole('button', { name: 'Cancel' }).click()
  await expect.poll(() => outcome.textContent()).toMatch(/Cancelled/)
  open()
  expect(await page.getByRole('button', { name: 'Ask', exact: true }).isEnabled()).toBe(true)
})

test('everything works by keyboard alone', async () => {
  await using opened = await openConsole(browser, inject('consoleOrigin'))
  const { page } = opened
  await page.getByRole('button', { name: /^Eve/ }).waitFor()
  /** Presses Tab until the element with this name has the focus. */
  const tabTo = async (name: RegExp) => {
    for (let presses = 0; presses < 40; presses++) {
      await page.keyboard.press('Tab')
      const text = await page.evaluate(
        '((element) => element.labels?.[0]?.textContent || element.getAttribute("aria-label") || element.textContent)(document.activeElement)',
      )
      if (name.test(String(text))) return
    }
    throw new Error(`keyboard: expected ${name} within 40 presses of Tab`)
  }
  await tabTo(/^Skip/)
  await page.keyboard.press('Enter')
  await tabTo(/^Question/)
  await page.keyboard.type(SCHOOL)
  await tabTo(/^Strategy/)
  await page.keyboard.type('latentseek')
  await tabTo(/^Ask$/)
  await page.keyboard.press('Enter')
  await isAnswered(page)
  await tabTo(/^Right$/)
  await page.keyboard.press('Enter')
  await expect.poll(() => page.locator('.effect').textContent()).toMatch(/labelled right/)
  await tabTo(/^Moment/)
  await page.keyboard.press('ArrowLeft')
  expect(await page.getByLabel('Moment of the solve').getAttribute('aria-valuetext')).toMatch(/^Step 1/)
})
