import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect, test, vi } from 'vitest'
import { NO_TRACER, openTracing } from '#tracing'
import { startOtlpCollector } from '../../support/otlp-collector.ts'

const root = join(import.meta.dirname, '../../..')
const logger = { info: vi.fn(), warn: vi.fn() }
const options = { service: 'test', version: '1.2.3', logger }

/** Packages of OpenTelemetry that a process resolves when it opens the tracer. */
async function packagesLoaded(endpoint: string | null): Promise<string[]> {
  const hook = `import { registerHooks } from 'node:module'
    registerHooks({ resolve(name, context, next) {
      if (name.startsWith('@opentelemetry/')) console.log(name)
      return next(name, context)
    } })`
  const program = `const { openTracing } = await import('#tracing')
    const logger = { info() {}, warn() {} }
    const { close } = await openTracing({ endpoint: ${JSON.stringify(endpoint)}, service: 'test', version: '1', logger })
    await close()`
  const { stdout } = await promisify(execFile)(
    process.execPath,
    [
      '--import',
      `data:text/javascript,${encodeURIComponent(hook)}`,
      '--input-type=module',
      '--eval',
      program,
    ],
    { cwd: root },
  )
  return stdout.split('\n').filter(Boolean)
}

test('OpenTelemetry is loaded only with an endpoint', async () => {
  expect(await packagesLoaded(null)).toEqual([])
  expect(await packagesLoaded('http://127.0.0.1:1')).toContain('@opentelemetry/sdk-trace')
})

test('without an endpoint, work runs in no span', async () => {
  const { tracer } = await openTracing({ ...options, endpoint: null })
  expect(tracer).toBe(NO_TRACER)
  const work = vi.fn(async () => tracer.traceparent())
  expect(await tracer.trace('solve', {}, work)).toBeUndefined()
  await expect(tracer.trace('solve', {}, () => Promise.reject(new RangeError('no')))).rejects.toThrow(
    RangeError,
  )
})

test('spans nest across awaits, continue a trace, and fail with the type of the error', async () => {
  await using collector = await startOtlpCollector()
  const { tracer, close } = await openTracing({ ...options, endpoint: `${collector.endpoint}/` })
  const remote = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01'
  const fail = () => Promise.reject(Object.assign(new Error('the secret'), { code: 'ENGINE_CRASHED' }))
  const inner = await tracer.trace(
    'outer',
    { count: 2, missing: undefined },
    async (span) => {
      await Promise.all(['left', 'right'].map((name) => tracer.trace(name, {}, async () => {})))
      await tracer.trace('failing', {}, fail).catch(() => {})
      span.set({ names: ['a', 'b'] })
      // The current span is the parent, whatever trace the caller names.
      return tracer.trace('inner', {}, async () => tracer.traceparent(), { traceparent: `${remote}0` })
    },
    { traceparent: remote },
  )
  const open = tracer.open('unrelated', {}, { traceparent: 'malformed' })
  expect(open.run(() => tracer.traceparent())).toMatch(/^00-[0-9a-f]{32}-[0-9a-f]{16}-01$/)
  expect(tracer.traceparent()).toBeUndefined()
  open.end('503')
  await close()

  const span = (name: string) => collector.spans.find((candidate) => candidate.name === name)!
  const outer = span('outer')
  expect(outer).toMatchObject({ service: 'test', parentSpanId: '00f067aa0ba902b7', failed: false })
  expect(outer.attributes).toEqual({ count: 2, names: ['a', 'b'] })
  for (const name of ['left', 'right', 'failing', 'inner']) {
    expect(span(name)).toMatchObject({
      parentSpanId: outer.spanId,
      traceId: '4bf92f3577b34da6a3ce929d0e0e4736',
    })
  }
  expect(inner).toBe(`00-${outer.traceId}-${span('inner').spanId}-01`)
  expect(span('failing')).toMatchObject({ failed: true, attributes: { 'error.type': 'ENGINE_CRASHED' } })
  expect(span('unrelated')).toMatchObject({ parentSpanId: null, failed: true })
  expect(JSON.stringify(collector.spans, (_, value) => String(value))).not.toContain('the secret')
})

test('a trace that its caller does not sample is not recorded', async () => {
  await using collector = await startOtlpCollector()
  const { tracer, close } = await openTracing({ ...options, endpoint: collector.endpoint })
  const traceparent = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00'
  await tracer.trace(
    'solve',
    {},
    async () => {
      expect(tracer.traceparent()).toMatch(/-00$/)
      await tracer.trace('draft', {}, async () => {})
    },
    { traceparent },
  )
  await close()
  expect(collector.spans).toEqual([])
})
