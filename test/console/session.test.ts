/** @file Keys, scopes, and a server that is down, in a real browser. */

import type { Browser } from 'playwright-core'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createAuthenticator, SCOPES, type Scope } from '#keys'
import { hashKey } from '../../src/keys/key-store.ts'
import { SOLUTION } from '../support/http-app.ts'
import { openConsole, screenshot, seriousFaults, startBrowser } from './browser.ts'
import { startScripted } from './scripted.ts'

let browser: Browser
beforeAll(async () => {
  browser = await startBrowser()
})
afterAll(() => browser.close())

/** Keys by name, which the tests revoke. */
function keyring(scopesOf: Record<string, readonly Scope[]>) {
  const valid = new Map(Object.entries(scopesOf))
  let now = 0
  const authenticate = createAuthenticator({
    allowAnonymous: false,
    // Every look-up is fresh.
    clock: () => {
      now += 60_000
      return now
    },
    store: {
      async find(hash) {
        const name = [...valid.keys()].find((key) => hash !== null && hashKey(key).equals(hash))
        const scopes = name === undefined ? undefined : valid.get(name)
        const found = scopes && { id: 'key', tenantId: 'acme', scopes, rate: null, tokens: null }
        return { found: found ?? null, anyKeys: true }
      },
    },
  })
  return { authenticate, revoke: (key: string) => valid.delete(key) }
}

test('a key opens what its scopes allow, and nothing once it is revoked', async () => {
  const { authenticate, revoke } = keyring({ reader: ['metrics'], asker: ['solve'], all: SCOPES })
  await using service = await startScripted(async () => SOLUTION, { authenticate })
  await using opened = await openConsole(browser, service.origin)
  const { page, complaints } = opened
  const signIn = async (key: string) => {
    await page.getByLabel('API key').fill(key)
    await page.getByLabel('API key').press('Enter')
  }
  const tabs = () => page.getByRole('navigation', { name: 'Views' }).getByRole('link').allTextContents()

  await page.getByRole('heading', { name: 'Sign in' }).waitFor()
  expect(await seriousFaults(page)).toEqual([])
  await screenshot(page, 'sign-in')
  await signIn('wrong')
  await page.getByText('The server does not know this key').waitFor()

  await signIn('reader')
  await page.getByRole('heading', { name: 'Now' }).waitFor()
  expect(await tabs()).toEqual(['Now'])
  await page.getByRole('button', { name: 'Sign out' }).click()

  await signIn('asker')
  await page.getByRole('heading', { name: 'Ask' }).waitFor()
  expect(await tabs()).not.toContain('Nights')
  await page.getByLabel('Question').fill('2 + 2 = ?')
  await page.getByRole('button', { name: 'Ask', exact: true }).click()
  await page.getByText('The search moved the latents').waitFor()
  // Without the scope there is no feedback.
  expect(await page.getByText('Was it right?').count()).toBe(0)

  revoke('asker')
  await page.getByRole('button', { name: 'Ask', exact: true }).click()
  await page.getByText('It may have been revoked').waitFor()
  expect(await page.getByLabel('Question').count()).toBe(0)
  expect(await page.content()).not.toContain('asker')

  await signIn('all')
  await page.getByRole('heading', { name: 'Ask' }).waitFor()
  expect(await tabs()).toEqual(expect.arrayContaining(['Ask', 'Now']))
  // The key is gone with the page.
  await page.reload()
  await page.getByRole('heading', { name: 'Sign in' }).waitFor()
  expect(complaints).toEqual([])
})

test('the late refusal of a key that was replaced signs nobody out', async () => {
  const { authenticate } = keyring({ all: SCOPES })
  await using service = await startScripted(async () => SOLUTION, { authenticate })
  await using opened = await openConsole(browser, service.origin)
  const { page } = opened
  // Calls without a key are answered late, and cannot be called back.
  await page.addInitScript(() => {
    const { fetch } = globalThis
    let lateAnswers = 0
    globalThis.fetch = async (input, init) => {
      const request = new Request(input, init)
      if (request.headers.has('authorization') || !request.url.endsWith('/whoami'))
        return await fetch(request)
      const response = await fetch(request.url)
      await new Promise((resolve) => setTimeout(resolve, 1000))
      lateAnswers += 1
      Reflect.set(globalThis, 'lateAnswers', lateAnswers)
      return response
    }
  })
  await page.reload()
  const signIn = async () => {
    await page.getByLabel('API key').fill('all')
    await page.getByLabel('API key').press('Enter')
    await page.getByRole('heading', { name: 'Ask' }).waitFor()
  }
  await signIn()
  await page.getByRole('button', { name: 'Sign out' }).click()
  await signIn()
  await page.waitForFunction(() => Reflect.get(globalThis, 'lateAnswers') === 2)
  await page.getByRole('heading', { name: 'Ask' }).waitFor()
  expect(await page.getByLabel('API key').count()).toBe(0)
})

test('a server that is down is asked again until it is back, and a broken stream can go on', async () => {
  let breaks = true
  const service = await startScripted(async (_request, { onEvent }) => {
    onEvent?.({ event: 'tokens', data: { text: 'left : 6 +', thought: false } })
    if (breaks) await new Promise(() => {})
    return SOLUTION
  })
  await using opened = await openConsole(browser, service.origin)
  const { page } = opened
  await page.getByLabel('Question').fill('2 + 2 = ?')
  await page.getByRole('button', { name: 'Ask', exact: true }).click()
  const text = page.getByRole('region', { name: 'Text of the answer' })
  await text.getByText('left : 6 +').waitFor()
  await service.stop()
  await page.getByText('The stream broke').waitFor()
  await page.getByText('The server does not answer').waitFor()
  // What had arrived stays.
  expect(await text.textContent()).toContain('left : 6 +')

  breaks = false
  await using again = await startScripted(async () => SOLUTION, {}, Number(new URL(service.origin).port))
  await expect.poll(() => page.getByText('The server does not answer').count(), { timeout: 20_000 }).toBe(0)
  await page.getByRole('button', { name: 'Go on' }).click()
  await page.getByText('The search moved the latents').waitFor()
  const [repeated] = again.requests
  expect(repeated).toMatchObject({ question: '2 + 2 = ?', seed: service.requests[0]?.seed })
})
