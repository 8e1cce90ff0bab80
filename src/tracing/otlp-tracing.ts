/** @file Records spans with OpenTelemetry and exports them to an OTLP collector over HTTP, as JSON. */

import { AsyncLocalStorage } from 'node:async_hooks'
import { randomUUID } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import {
  type Context,
  type Attributes as OtelAttributes,
  type Span as OtelSpan,
  type Tracer as OtelTracer,
  ROOT_CONTEXT,
  SpanKind,
  SpanStatusCode,
  trace,
} from '@opentelemetry/api'
import { ExportResultCode, parseTraceParent } from '@opentelemetry/core'
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http'
import { resourceFromAttributes } from '@opentelemetry/resources'
import { BatchSpanProcessor, type SpanExporter, TracerProvider } from '@opentelemetry/sdk-trace'
import { createThrottle } from '#throttle-log'
import { errorAttributes, errorType } from './attributes.ts'
import type {
  Attributes,
  OpenSpan,
  SpanOptions,
  Tracer,
  Tracing,
  TracingLogger,
  TracingOptions,
} from './tracer.ts'

const EXPORT_TIMEOUT_MS = 5_000
const EXPORT_INTERVAL_MS = 2_000
/** A consolidation and a few hundred solves; spans beyond it are dropped. About 8 MiB. */
const MAX_QUEUED_SPANS = 8_192
const CLOSE_TIMEOUT_MS = 2_000

const KINDS = {
  internal: SpanKind.INTERNAL,
  server: SpanKind.SERVER,
  consumer: SpanKind.CONSUMER,
} as const

export function openOtlpTracing({
  endpoint,
  service,
  version,
  logger,
}: TracingOptions & { readonly endpoint: string }): Tracing {
  const url = new URL(endpoint)
  url.pathname = `${url.pathname.replace(/\/$/, '')}/v1/traces`
  const exporter = new OTLPTraceExporter({ url: url.href, timeoutMillis: EXPORT_TIMEOUT_MS })
  const provider = new TracerProvider({
    resource: resourceFromAttributes({
      'service.name': service,
      'service.version': version,
      'service.instance.id': randomUUID(),
    }),
    spanProcessors: [
      new BatchSpanProcessor({
        exporter: logFailures(exporter, logger),
        maxQueueSize: MAX_QUEUED_SPANS,
        scheduledDelayMillis: EXPORT_INTERVAL_MS,
        exportTimeoutMillis: EXPORT_TIMEOUT_MS,
      }),
    ],
  })
  logger.info({ collector: url.host }, 'tracing: spans are exported')
  return {
    tracer: createTracer(provider.getTracer('circadian', version)),
    async close() {
      const closing = new AbortController()
      const shutdown = provider.shutdown().catch(() => {})
      await Promise.race([shutdown, delay(CLOSE_TIMEOUT_MS, undefined, { signal: closing.signal })])
      closing.abort()
    },
  }
}

/** Adapts a tracer of OpenTelemetry. The current span follows the asynchronous work that it runs. */
function createTracer(otel: OtelTracer): Tracer {
  const current = new AsyncLocalStorage<OtelSpan>()

  function open(name: string, attributes: Attributes, options: SpanOptions = {}): OpenSpan {
    const kind = KINDS[options.kind ?? 'internal']
    const span = otel.startSpan(name, { kind, attributes: defined(attributes) }, parentOf(options))
    return {
      set: (added) => void span.setAttributes(defined(added)),
      run: (work) => current.run(span, work),
      end(failure) {
        if (failure !== undefined) {
          span.setAttributes(defined(errorAttributes(failure)))
          span.setStatus({ code: SpanStatusCode.ERROR })
        }
        span.end()
      },
    }
  }

  function parentOf({ traceparent }: SpanOptions): Context {
    const parent = current.getStore()
    if (parent !== undefined) return trace.setSpan(ROOT_CONTEXT, parent)
    const remote = traceparent === undefined ? null : parseTraceParent(traceparent)
    if (remote === null) return ROOT_CONTEXT
    return trace.setSpanContext(ROOT_CONTEXT, { ...remote, isRemote: true })
  }

  return {
    open,
    async trace(name, attributes, work, options) {
      const span = open(name, attributes, options)
      try {
        const result = await span.run(() => work(span))
        span.end()
        return result
      } catch (error) {
        span.end(errorType(error))
        throw error
      }
    },
    traceparent() {
      const context = current.getStore()?.spanContext()
      if (context === undefined) return undefined
      const flags = context.traceFlags.toString(16).padStart(2, '0')
      return `00-${context.traceId}-${context.spanId}-${flags}`
    },
  }
}

function defined(attributes: Attributes): OtelAttributes {
  return Object.fromEntries(
    Object.entries(attributes).flatMap(([name, value]) => {
      if (value === undefined) return []
      return [[name, typeof value === 'object' ? [...value] : value]]
    }),
  )
}

/** Logs failed exports: the first, then at most one line a minute with the number of failures since the last. */
function logFailures(exporter: SpanExporter, logger: TracingLogger): SpanExporter {
  const throttle = createThrottle()
  return {
    export: (spans, done) =>
      exporter.export(spans, (result) => {
        if (result.code !== ExportResultCode.SUCCESS) {
          const passed = throttle('export')
          if (passed !== null) {
            const failures = (passed.repeated ?? 0) + 1
            logger.warn({ err: result.error, failures }, 'traces not exported: spans are lost')
          }
        }
        done(result)
      }),
    forceFlush: () => exporter.forceFlush?.() ?? Promise.resolve(),
    shutdown: () => exporter.shutdown(),
  }
}
