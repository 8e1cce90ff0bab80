/** @file Texts that try to be more than text, and questions that are too long, in a real browser. */

import type { Browser } from 'playwright-core'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { EPISODE, memoryStore, SOLUTION } from '../support/http-app.ts'
import { openConsole, startBrowser } from './browser.ts'
import { startScripted } from './scripted.ts'

let browser: Browser
beforeAll(async () => {
  browser = await startBrowser()
})
afterAll(() => browser.close())

const HOSTILE =
  '</pre><script>globalThis.pwned=1</script><img src=x onerror="globalThis.pwned=1"><svg onload="globalThis.pwned=1"><a href="javascript:globalThis.pwned=1">a</a> \u202Ereversed\u0000\u001B[31m'

test('texts of the model, of questions and of errors stay texts', async () => {
  const candidate = {
    ...SOLUTION.candidates![0]!,
    answer: HOSTILE,
    text: HOSTILE,
    rewardTerms: { [HOSTILE]: -0.5 },
  }
  const changed = { ...candidate, kind: 'regeneration', text: `left ${HOSTILE}`, reward: -0.1 } as const
  const solution = {
    ...SOLUTION,
    answer: HOSTILE,
    text: HOSTILE,
    base: { answer: HOSTILE, reward: -0.97 },
    candidates: [candidate, changed],
    latents: [0, 1].map((step) => ({ step, x: step, y: step, reward: -0.5, answer: HOSTILE, text: HOSTILE })),
  }
  await using service = await startScripted(
    async (_request, { onEvent }) => {
      onEvent?.({ event: 'tokens', data: { text: HOSTILE, thought: true } })
      onEvent?.({ event: 'tokens', data: { text: HOSTILE, thought: false } })
      onEvent?.({ event: 'draft', data: { answer: HOSTILE, reasoning: HOSTILE, reward: -0.97 } })
      onEvent?.({ event: 'candidate', data: changed })
      return solution
    },
    { episodes: memoryStore({ default: [{ ...EPISODE, question: HOSTILE, answer: HOSTILE }] }).episodes },
  )
  await using opened = await openConsole(browser, service.origin)
  const { page, complaints } = opened
  // The contract allows no control characters in questions.
  const question = HOSTILE.replaceAll('\u0000', '').replaceAll('\u001B', '')
  await page.getByLabel('Question').fill(question)
  await page.getByRole('button', { name: 'Ask', exact: true }).click()
  await page.getByText('The search moved the latents').waitFor()
  await page.getByLabel('Moment of the solve').press('Home')
  await page.getByText('Thought').click()
  for (const language of ['curl', 'TypeScript', 'openai-python'])
    await page.getByRole('radio', { name: language }).check()
  await page.getByRole('button', { name: 'Right', exact: true }).click()
  await page.locator('.effect').waitFor()
  expect(await page.locator('.asked').textContent()).toBe(question)
  // The page's own links lead to its views.
  const foreign = 'main script, main img, main a:not([href^="#/"])'
  expect(await page.locator(foreign).count()).toBe(0)
  expect(await page.evaluate('globalThis.pwned')).toBeUndefined()
  expect(complaints).toEqual([])

  // Control characters are refused by the server, in its own words.
  await page.evaluate('document.querySelector("#question").value = "a\\u0007b"')
  await page.locator('#question').dispatchEvent('input')
  await page.getByRole('button', { name: 'Ask', exact: true }).click()
  await page.getByRole('alert').getByText('/question').waitFor()
  await page.goto(`${service.origin}/console#/${encodeURIComponent(HOSTILE)}`)
  await page.getByRole('heading', { name: 'Ask' }).waitFor()
  expect(await page.evaluate('globalThis.pwned')).toBeUndefined()
})

test('a question of 100,000 characters is refused before it is sent, and nothing freezes', async () => {
  await using service = await startScripted(async () => SOLUTION)
  await using opened = await openConsole(browser, service.origin)
  const { page } = opened
  await page.getByLabel('Question').fill('x'.repeat(100_000))
  await page.getByText(/A question may have 16.384 characters\. This one has 100.000\./).waitFor()
  expect(await page.getByRole('button', { name: 'Ask', exact: true }).isDisabled()).toBe(true)
  await page.getByLabel('Question').fill('x'.repeat(16_384))
  await page.getByRole('button', { name: 'Ask', exact: true }).click()
  await page.getByText('The search moved the latents').waitFor()
  expect(await page.evaluate('document.documentElement.scrollWidth <= innerWidth')).toBe(true)
  expect(service.requests.map(({ question }) => question.length)).toEqual([16_384])
})
