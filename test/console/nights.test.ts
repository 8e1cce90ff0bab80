/** @file The view Nights in a real browser, over a real night on synthetic episodes. */

import type { Browser } from 'playwright-core'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createArtifactStore, createConsolidationStore, createLearningStore } from '#artifacts'
import { readConsole } from '#console'
import { type ConsolidationDeps, consolidate } from '#consolidation'
import type { Database } from '#database'
import { createEpisodeStore, createTrainingStore } from '#episodes'
import { newArtifact } from '../support/artifacts.ts'
import { newEpisode } from '../support/episodes.ts'
import { graphRunner } from '../support/graph-runner.ts'
import { listen, memoryConsolidations, unverifiedApp } from '../support/http-app.ts'
import { rememberDay } from '../support/labelled-day.ts'
import { SMALL_NETWORK } from '../support/small-network.ts'
import { createEmbeddedDatabase, silent } from '../support/test-database.ts'
import { openConsole, screenshot, seriousFaults, startBrowser } from './browser.ts'

const { signal } = new AbortController()
const parts = new AsyncDisposableStack()
let browser: Browser
let origin: string
let database: Database
let now = Date.now()
/** Night that the page has asked for; nobody runs it by itself. */
let night: string | null = null

const over = <Store>(create: (options: { readonly database: Database }) => Store): Store =>
  create({ database })
const clock = () => now
const storeOf = () => createEpisodeStore({ database, clock })

beforeAll(async () => {
  const embedded = await createEmbeddedDatabase()
  parts.defer(embedded.drop)
  ;({ database } = embedded)
  const consolidations = over(createConsolidationStore)
  const app = unverifiedApp({
    consoleFiles: await readConsole(),
    episodes: storeOf(),
    admin: {
      ...memoryConsolidations().admin,
      fingerprint: 'model-1',
      artifacts: over(createArtifactStore),
      learning: over(createLearningStore),
      training: over(createTrainingStore),
      consolidations: {
        ...consolidations,
        async request(wish) {
          const requested = await consolidations.request({ ...wish, kinds: ['lrm'] })
          night = requested.id
          return requested
        },
      },
    },
  })
  parts.defer(async () => {
    await app.close()
  })
  origin = (await listen(app)).url
  browser = await startBrowser()
  parts.defer(() => browser.close())
}, 240_000)
afterAll(() => parts.disposeAsync())

/** Runs the night that the page has asked for, with a small network, in this process. */
async function runNight(): Promise<void> {
  const runner = graphRunner()
  const deps: ConsolidationDeps = {
    consolidations: over(createConsolidationStore),
    artifacts: over(createArtifactStore),
    learning: over(createLearningStore),
    training: over(createTrainingStore),
    episodes: storeOf(),
    startTrainer: async () => ({
      load: runner.load,
      openTask: runner.openTask,
      peakMemoryBytes: async () => 2 ** 20,
      close: async () => {},
    }),
    openReplayEngine: () => Promise.reject(new Error('a reward model needs no replay')),
    logger: silent,
    codeVersion: '1.2.3',
    rewardModel: SMALL_NETWORK,
  }
  await consolidate(deps, night ?? expect.unreachable('no night was asked for'), signal)
}

/** Adds the end of a night whose version waits for a review. */
async function addWaiting(): Promise<void> {
  const consolidations = over(createConsolidationStore)
  const artifacts = over(createArtifactStore)
  const wish = { fingerprint: 'model-1', kinds: ['lrm'], force: true, trigger: 'request' } as const
  const { id } = await consolidations.request(wish)
  const { version, metrics, baseline, ...added } = await artifacts.add(newArtifact(id))
  const reason = 'AUC rises'
  await artifacts.settle(added.id, { promoted: true, isReviewed: true, reason })
  const status = 'awaiting-review'
  const outcome = { kind: 'lrm', version, status, reason, metrics, baseline } as const
  await consolidations.finish(id, { status, artifacts: [outcome], episodes: 0 })
}

/** Answers of one day that a caller has labelled: `right` of 10 are right. */
async function day(daysAgo: number, right: number, lrmVersion: string): Promise<void> {
  now = Date.now() - daysAgo * 86_400_000
  const store = storeOf()
  for (let index = 0; index < 10; index++) {
    const episode = newEpisode({
      strategy: 'lto',
      lrmVersion,
      iterations: index % 3,
      question: `day ${daysAgo}, ${index}?`,
    })
    await store.add(episode)
    await store.index(episode.tenantId, episode.id)
    await store.label(episode.tenantId, episode.id, { correct: index < right })
  }
}

test('a night from its start to its promotion, and the curve after it', async () => {
  await using opened = await openConsole(browser, origin, { height: 1_560 })
  const { page, complaints } = opened
  page.setDefaultTimeout(60_000)
  await page.getByRole('link', { name: 'Nights' }).click()
  await page.getByText('No night yet').waitFor()
  await page.getByText('No answers in these days').waitFor()
  await page.getByText('No version yet').waitFor()
  expect(await seriousFaults(page)).toEqual([])

  await day(3, 4, 'none')
  await day(2, 5, 'none')
  now = Date.now() - 86_400_000
  await rememberDay(storeOf(), { questions: 100 })
  await page.reload()
  const curve = page.getByRole('region', { name: 'Learning curve' })
  const before = curve.getByRole('row', { name: /^lto/ })
  await before.getByText('45\u202f%').waitFor()

  await page.getByRole('button', { name: 'Start a night' }).click()
  await page.getByRole('progressbar', { name: 'Progress of the night' }).waitFor()
  await page.getByRole('heading', { name: 'A night is running' }).waitFor()
  const running = runNight()
  await page.getByText(/^lrm-1 was promoted: /).waitFor()
  await running
  await page.getByText('Learned from').waitFor()
  expect(await page.getByRole('img', { name: /^candidate \d/ }).count()).toBeGreaterThan(3)
  const versions = page.getByRole('region', { name: 'Versions', exact: true })
  await versions.getByRole('row', { name: /lrm-1/ }).getByText('active', { exact: true }).waitFor()

  await day(0, 9, 'lrm-1')
  await curve
    .getByRole('row', { name: /^lto · lrm-1/ })
    .getByText('90\u202f%')
    .waitFor()
  expect(await before.first().textContent()).toContain('45')
  await screenshot(page, 'nights')
  await page.setViewportSize({ width: 390, height: 844 })
  expect(await page.evaluate('document.documentElement.scrollWidth')).toBeLessThanOrEqual(390)
  expect(await seriousFaults(page)).toEqual([])
  expect(complaints).toEqual([])
}, 240_000)

test('a review rejects and accepts, an older version comes back, a freeze stops learning', async () => {
  await using opened = await openConsole(browser, origin)
  const { page, complaints } = opened
  page.setDefaultTimeout(60_000)
  await page.getByRole('link', { name: 'Nights' }).click()
  const versions = page.getByRole('region', { name: 'Versions', exact: true })
  const row = (version: string) => versions.getByRole('row', { name: new RegExp(version) })
  const state = (version: string, text: string) => row(version).getByText(text, { exact: true }).waitFor()

  await addWaiting()
  await page.reload()
  await state('lrm-2', 'waits for a review')
  await page.getByText('lrm-2 passed the gate and waits for a review: AUC rises.').waitFor()
  await versions.getByRole('button', { name: 'Reject lrm-2' }).click()
  await state('lrm-2', 'rejected')
  await addWaiting()
  await page.reload()
  await versions.getByRole('button', { name: 'Accept lrm-3' }).click()
  await state('lrm-3', 'active')
  await versions.getByRole('button', { name: 'Activate lrm-1' }).click()
  await state('lrm-1', 'active')
  await state('lrm-3', 'promoted')

  await page.getByLabel('Reason of the freeze').fill('odd <b>answers</b>')
  await page.getByRole('button', { name: 'Freeze learning' }).click()
  await page.getByText('odd <b>answers</b>').waitFor()
  expect(await page.getByRole('button', { name: 'Start a night' }).count()).toBe(0)
  await page.getByRole('button', { name: 'Unfreeze learning' }).click()
  await page.getByRole('button', { name: 'Start a night' }).waitFor()
  expect(complaints).toEqual([])
}, 240_000)
