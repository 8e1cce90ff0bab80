/** @file The view Memory in a real browser: on the bundled model, and with 10,000 episodes. */

import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, expect, inject, test } from 'vitest'
import { readConsole } from '#console'
import { EPISODE, listen, memoryStore, unverifiedApp } from '../support/http-app.ts'
import { openConsole, screenshot, seriousFaults, startBrowser } from './browser.ts'

let browser: Browser
beforeAll(async () => {
  browser = await startBrowser()
})
afterAll(() => browser.close())

const HOSTILE = 'Kim at the <img src=x onerror=alert(1)> & "kiosk": 3 + 6 + 1 * 6 = ?'

async function ask(body: object): Promise<string> {
  const response = await fetch(`${inject('consoleOrigin')}/solve`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  })
  return response.headers.get('x-episode-id') ?? expect.unreachable('no episode')
}

async function open(page: Page, id: string): Promise<void> {
  await page.evaluate(`location.hash = '#/memory/${id}'`)
  await page.getByRole('heading', { level: 1, name: 'Episode' }).waitFor()
}

test('finds, maps, shows and deletes what was asked', async () => {
  const samples = { strategy: 'majority', samples: 4, seed: 1 }
  const question = 'Eve at the till: 6 + 4 * 7 - 4 - 5 = ?'
  const id = await ask({ question, ...samples })
  for (const place of ['kiosk', 'till', 'bakery', 'factory'])
    await ask({ question: `Ann at the ${place}: 6 + 4 * 7 - 4 - 5 = ?`, seed: 1 })
  await ask({ question: HOSTILE, ...samples })

  await using opened = await openConsole(browser, inject('consoleOrigin'), { height: 1_320 })
  const { page, complaints } = opened
  page.setDefaultTimeout(30_000)
  await page.getByRole('link', { name: 'Memory' }).click()
  const list = page.getByRole('region', { name: 'Episodes' })
  await list.getByRole('link', { name: /img src=x/ }).waitFor()
  await page.getByRole('img', { name: /^Map of [1-9]/ }).waitFor()

  await page.getByLabel('Question without an answer yet').fill('Bob at the till: 6 + 4 * 7 - 4 - 5 = ?')
  await page.getByRole('button', { name: 'Find similar' }).click()
  const neighbours = page.getByRole('region', { name: 'Neighbours of a question' })
  await neighbours
    .getByRole('link', { name: /Ann at the/ })
    .first()
    .waitFor()
  await page.getByRole('img', { name: /^Map of/ }).hover()
  await screenshot(page, 'memory')
  expect(await seriousFaults(page)).toEqual([])

  await list.getByLabel('Question').fill('eve at')
  await list.getByLabel('Strategy').selectOption('majority')
  await list
    .getByRole('link', { name: /Ann at/ })
    .first()
    .waitFor({ state: 'detached' })
  expect(await list.getByRole('listitem').count()).toBe(1)
  await list.getByRole('link', { name: /^Eve at the till/ }).press('Enter')

  await page.getByRole('heading', { level: 1, name: 'Episode' }).waitFor()
  const answers = page.getByRole('list', { name: 'Judged answers' })
  await answers.getByRole('heading', { name: 'Sample 2' }).waitFor()
  await page.getByRole('button', { name: 'It is right' }).click()
  await page.getByText('by feedback').waitFor()
  await page.getByText('No other episode stops leading.').waitFor()
  await screenshot(page, 'episode')
  expect(await seriousFaults(page)).toEqual([])

  await page.getByRole('button', { name: 'Delete …' }).click()
  await page.getByRole('button', { name: 'Keep it' }).click()
  await page.getByRole('button', { name: 'Delete …' }).click()
  await page.getByRole('button', { name: 'Delete for ever' }).click()
  await page.getByRole('heading', { level: 1, name: 'Episode deleted' }).waitFor()
  await page.getByRole('link', { name: 'All of the memory' }).click()
  await page.getByRole('heading', { level: 1, name: 'Memory' }).waitFor()
  await open(page, id)
  await page.getByText('There is no such episode.').first().waitFor()
  expect(complaints).toEqual([])
}, 240_000)

const MANY = 10_000

/** Returns the longest task of the page in ms of processor time: others on a busy machine do not count. */
function longestTask(trace: Buffer): number {
  interface TraceEvent {
    readonly name: string
    readonly pid: number
    readonly tid: number
    /** Processor time of the thread, in microseconds. */
    readonly tdur?: number
    readonly args?: { readonly name?: string }
  }
  const { traceEvents }: { traceEvents: readonly TraceEvent[] } = JSON.parse(trace.toString())
  const mains = new Set(
    traceEvents
      .filter(({ name, args }) => name === 'thread_name' && args?.name === 'CrRendererMain')
      .map(({ pid, tid }) => `${pid} ${tid}`),
  )
  const tasks = traceEvents.filter(
    ({ name, pid, tid, tdur }) => /RunTask$/.test(name) && tdur !== undefined && mains.has(`${pid} ${tid}`),
  )
  expect(tasks.length).toBeGreaterThan(100)
  return Math.round(Math.max(...tasks.map(({ tdur = 0 }) => tdur)) / 1_000)
}

test('10,000 episodes do not freeze the page', async () => {
  const episodes = Array.from({ length: MANY }, (_, index) => ({
    ...EPISODE,
    id: `episode-${index}`,
    question: `Question ${index}: ${'how much is it, '.repeat(index % 12)}?`,
    label: index % 3 === 0 ? null : index % 3 === 1,
    labelSource: index % 3 === 0 ? null : ('self' as const),
  }))
  const store = memoryStore({ default: episodes }).episodes
  const app = unverifiedApp({
    consoleFiles: await readConsole(),
    episodes: {
      ...store,
      async map(tenantId, options) {
        const { points, explained } = await store.map(tenantId, options)
        const spread = points.map((point, index) => ({
          ...point,
          x: Math.sin(index) * index,
          y: Math.cos(index * 7),
        }))
        return { points: spread, explained }
      },
    },
  })
  const { url } = await listen(app)
  try {
    await using opened = await openConsole(browser, url)
    const { page, complaints } = opened
    page.setDefaultTimeout(30_000)
    await browser.startTracing(page, { categories: ['toplevel', 'devtools.timeline'] })
    await page.getByRole('link', { name: 'Memory' }).click()
    await page.getByRole('link', { name: /Question 0:/ }).waitFor()
    await page.getByText('5\u202f000 newest episodes').waitFor()
    // Each scroll to the end reads the next page.
    await page.evaluate(`(async () => {
      const rows = document.querySelector('.rows')
      for (let last = -1; rows.scrollHeight < ${MANY} * 64; last = rows.scrollHeight) {
        rows.scrollTop = rows.scrollHeight
        while (rows.scrollHeight === last) await new Promise((resolve) => setTimeout(resolve, 10))
        await new Promise(requestAnimationFrame)
      }
      rows.scrollTop = rows.scrollHeight
    })()`)
    await page.getByRole('link', { name: new RegExp(`Question ${MANY - 1}:`) }).waitFor()
    await page.getByRole('img', { name: /^Map of 5000/ }).hover()
    expect(Number(await page.evaluate("document.querySelectorAll('.rows li').length"))).toBeLessThan(60)
    const longest = longestTask(await browser.stopTracing())
    console.log(`memory: ${MANY} episodes, longest task ${longest} ms of its thread`)
    expect(longest).toBeLessThan(200)
    expect(complaints).toEqual([])
  } finally {
    await app.close()
  }
}, 300_000)

const OTHER = {
  ...EPISODE,
  id: '0198f2c4-1111-7d11-8a3c-0e4b9c7d2f15',
  question: 'Is it?',
  answer: null,
  label: false,
}

test.each([
  {
    episodes: [EPISODE],
    places: [{ x: 0, y: 0 }],
    explained: [0, 0],
    aside: '1 episode',
    label: 'Map of 1 episode; the list below has the same one',
    hint: 'Similar questions will lie close together: this is the first.',
  },
  {
    episodes: [EPISODE, OTHER],
    places: [
      { x: 1, y: 0 },
      { x: -1, y: 0 },
    ],
    explained: [1, 0],
    aside: '2 newest episodes',
    label: 'Map of 2 episodes; the list below has the same ones',
    hint: 'Two questions lie on one line, which shows all that tells them apart.',
  },
  {
    episodes: [EPISODE, OTHER],
    places: [
      { x: 0, y: 0 },
      { x: 0, y: 0 },
    ],
    explained: [0, 0],
    aside: '2 newest episodes',
    label: 'Map of 2 episodes; the list below has the same ones',
    hint: 'Nothing tells these questions apart, so they lie in one place.',
  },
] as const)(
  'the map of few episodes: $hint',
  async ({ episodes, places, explained, aside, label, hint }) => {
    const store = memoryStore({ default: [...episodes] }).episodes
    const app = unverifiedApp({
      consoleFiles: await readConsole(),
      episodes: {
        ...store,
        async map(tenantId, options) {
          const { points } = await store.map(tenantId, options)
          return { points: points.map((point, index) => ({ ...point, ...places[index]! })), explained }
        },
      },
    })
    const { url } = await listen(app)
    try {
      await using opened = await openConsole(browser, url)
      const { page, complaints } = opened
      await page.getByRole('link', { name: 'Memory' }).click()
      const map = page.getByRole('region', { name: 'Map' })
      await map.getByText(aside, { exact: true }).waitFor()
      await map.getByText(hint, { exact: true }).waitFor()
      const plot = map.getByRole('img', { name: label, exact: true })
      const { width = 0, height = 0 } = (await plot.boundingBox()) ?? {}
      const tip = map.locator('.tip')
      const isApart = explained[0] > 0

      // The first point: on the right of a line, or in the middle.
      await plot.hover({ position: { x: isApart ? width - 18 : width / 2, y: height / 2 } })
      await tip.waitFor()
      expect(await tip.locator('strong').textContent()).toBe(EPISODE.question)
      expect(await tip.locator('span').textContent()).toBe('1 · reward \u22120.04')
      if (isApart) {
        await plot.hover({ position: { x: 18, y: height / 2 } })
        await tip.getByText(OTHER.question, { exact: true }).waitFor()
        expect(await tip.locator('span').textContent()).toBe('no answer · reward \u22120.04 · wrong')
      }
      await plot.hover({ position: { x: width / 4, y: 4 } })
      await tip.waitFor({ state: 'detached' })
      expect(complaints).toEqual([])
    } finally {
      await app.close()
    }
  },
  120_000,
)

test('nothing is there yet', async () => {
  const app = unverifiedApp({ consoleFiles: await readConsole(), episodes: memoryStore({}).episodes })
  const { url } = await listen(app)
  try {
    await using opened = await openConsole(browser, url, { dark: true })
    const { page } = opened
    await page.getByRole('link', { name: 'Memory' }).click()
    await page.getByText('No episodes yet').waitFor()
    await page.getByText('Nothing to map yet').waitFor()
    expect(await seriousFaults(page)).toEqual([])
  } finally {
    await app.close()
  }
}, 120_000)
