/** @file The traces of the service, as a collector receives them, and the trees of docs/operations.md. */

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { expect, onTestFinished, test } from 'vitest'
import type { Solution } from '#solving'
import { makeProblems } from '../../models/order-of-operations/problems.ts'
import { type CollectedSpan, drawTrace, startOtlpCollector } from '../support/otlp-collector.ts'
import { type ServiceProcess, startService } from '../support/service-process.ts'
import { dataFolder } from '../support/test-database.ts'

const document = readFileSync(join(import.meta.dirname, '../../docs/operations.md'), 'utf8')

/** Trace of the caller. */
const CALLER = { traceId: '4bf92f3577b34da6a3ce929d0e0e4736', spanId: '00f067aa0ba902b7' }
const TRACEPARENT = `00-${CALLER.traceId}-${CALLER.spanId}-01`
const SECRET = 'Zanzibar'

/** A question that the model solves only after updates of the latents. */
const [{ question } = { question: '' }] = makeProblems({ split: 'heldout', count: 1, seed: 5 })

async function startTraced(endpoint: string): Promise<ServiceProcess> {
  const folder = await dataFolder()
  const service = await startService({ DATA_DIR: folder.path, OTEL_EXPORTER_OTLP_ENDPOINT: endpoint })
  onTestFinished(async () => {
    await service[Symbol.asyncDispose]()
    await folder[Symbol.asyncDispose]()
  })
  return service
}

/** Distinct paths of a drawn tree, such as `POST /solve > solve > draft`. */
function pathsOf(tree: string): string[] {
  const open: string[] = []
  const paths = tree.split('\n').map((line) => {
    const [, indent = '', name = ''] = /^( *)(.*?)(?: {2,}[\d.,]+ m?s)?$/.exec(line) ?? []
    open.splice(indent.length / 2, open.length, name)
    return open.join(' > ')
  })
  return [...new Set(paths)].sort()
}

/** Paths of the tree in docs/operations.md that begins with a span name. */
function documentedPaths(root: string): string[] {
  const trees = [...document.matchAll(/^```text\n([\s\S]*?)\n```$/gm)].map(([, tree = '']) => tree)
  return pathsOf(trees.find((tree) => tree.startsWith(`${root} `)) ?? `${root} is not documented`)
}

async function waitFor(service: ServiceProcess, path: string, isDone: (status: string) => boolean) {
  await expect
    .poll(async () => isDone((await service.ask<{ status: string }>(path)).body.status), { timeout: 30_000 })
    .toBe(true)
}

test('a solve and a consolidation leave the documented trees, jobs included, and no text', async () => {
  await using collector = await startOtlpCollector()
  const service = await startTraced(collector.endpoint)

  const response = await fetch(`${service.origin}/solve`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'x-request-id': 'request-1', traceparent: TRACEPARENT },
    body: JSON.stringify({ question: question.replace(/^\w+/, SECRET), seed: 0 }),
  })
  const solution = (await response.json()) as Solution
  expect(solution.iterations).toBeGreaterThan(0)
  await waitFor(service, `/episodes/${solution.episodeId}`, (status) => status === 'indexed')
  const { body } = await service.ask('/admin/consolidations', { body: { force: true } })
  await waitFor(service, `/admin/consolidations/${body['id']}`, (status) => status === 'rejected')
  await service.ask('/nowhere')
  expect(await service.kill('SIGTERM')).toBe(0)
  expect(service.output()).toBe('')

  const traces = Map.groupBy(collector.spans, ({ traceId }) => traceId)
  const named = (name: string) => collector.spans.filter((span) => span.name === name)
  const solved = traces.get(CALLER.traceId) ?? []
  expect(pathsOf(drawTrace(solved, { durations: false }))).toEqual(documentedPaths('POST /solve'))
  const [consolidation] = named('consolidation')
  const night = traces.get(String(consolidation?.traceId)) ?? []
  const nightRoot = 'POST /admin/consolidations'
  expect(pathsOf(drawTrace(night, { durations: false }))).toEqual(documentedPaths(nightRoot))

  expect(named('POST /solve')[0]).toMatchObject({
    service: 'circadian-api',
    parentSpanId: CALLER.spanId,
    failed: false,
    attributes: {
      'http.request.method': 'POST',
      'http.route': '/solve',
      'http.response.status_code': 200,
      'circadian.request.id': 'request-1',
    },
  })
  expect(named('solve')[0]?.attributes).toMatchObject({
    'gen_ai.operation.name': 'chat',
    'gen_ai.request.model': solution.model.id,
    'gen_ai.usage.input_tokens': solution.usage.promptTokens,
    'gen_ai.usage.output_tokens': solution.usage.generatedTokens,
    'circadian.strategy': 'auto',
    'circadian.stopped': solution.stopped,
    'circadian.iterations': solution.iterations,
    'circadian.episode.id': solution.episodeId,
  })
  expect(named('job episode.index')).toMatchObject([
    { traceId: CALLER.traceId, parentSpanId: named('commit')[0]?.spanId, failed: false },
  ])
  expect(consolidation?.attributes).toMatchObject({ 'circadian.consolidation.id': body['id'] })
  expect(outputTokens(solved, ['draft', 'regenerate'])).toBe(solution.usage.generatedTokens)

  // Neither probes nor unknown routes, and no word of the question.
  expect(collector.spans.filter(({ name }) => /readyz|livez|nowhere/.test(name))).toEqual([])
  expect(JSON.stringify(collector.spans, (_, value) => String(value))).not.toContain(SECRET)
}, 60_000)

function outputTokens(spans: readonly CollectedSpan[], names: readonly string[]): number {
  return spans
    .filter(({ name }) => names.includes(name))
    .reduce((sum, { attributes }) => sum + Number(attributes['gen_ai.usage.output_tokens'] ?? 0), 0)
}

test('a collector that is away costs no answer, one log line, and at most 2 s at the end', async () => {
  const collector = await startOtlpCollector()
  const service = await startTraced(collector.endpoint)
  await collector[Symbol.asyncDispose]()
  const { status } = await service.ask('/solve', { body: { question, strategy: 'greedy' } })
  expect(status).toBe(200)
  await expect.poll(() => service.output(), { timeout: 20_000 }).toContain('traces not exported')
  for (let solve = 0; solve < 3; solve++) {
    await service.ask('/solve', { body: { question, strategy: 'greedy', learn: false } })
    await setTimeout(700)
  }
  const stopped = performance.now()
  expect(await service.kill('SIGTERM')).toBe(0)
  expect(performance.now() - stopped).toBeLessThan(6_000)
  expect(service.output().trim().split('\n')).toHaveLength(1)
}, 60_000)
