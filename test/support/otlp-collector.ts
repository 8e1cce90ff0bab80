/** @file A collector of OTLP over HTTP with JSON: keeps the spans that a service exports, draws them as a tree. */

import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'

export interface CollectedSpan {
  readonly service: string
  readonly name: string
  readonly traceId: string
  readonly spanId: string
  readonly parentSpanId: string | null
  /** Nanoseconds since the epoch. */
  readonly start: bigint
  readonly end: bigint
  readonly failed: boolean
  readonly attributes: Readonly<Record<string, unknown>>
}

export interface OtlpCollector extends AsyncDisposable {
  readonly endpoint: string
  readonly spans: readonly CollectedSpan[]
}

type JsonValue = Readonly<Record<string, unknown>> & {
  readonly arrayValue?: { readonly values: JsonValue[] }
}
interface JsonAttribute {
  readonly key: string
  readonly value: JsonValue
}
interface JsonSpan {
  readonly name: string
  readonly traceId: string
  readonly spanId: string
  readonly parentSpanId?: string
  readonly startTimeUnixNano: string
  readonly endTimeUnixNano: string
  readonly attributes: JsonAttribute[]
  readonly status: { readonly code?: number }
}
interface JsonExport {
  readonly resourceSpans: {
    readonly resource: { readonly attributes: JsonAttribute[] }
    readonly scopeSpans: { readonly spans: JsonSpan[] }[]
  }[]
}

const FAILED = 2

/** Starts a collector on a free port of the loopback address. */
export async function startOtlpCollector(): Promise<OtlpCollector> {
  const spans: CollectedSpan[] = []
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk)
    if (request.url !== '/otlp/v1/traces') {
      response.writeHead(404).end()
      return
    }
    spans.push(...decode(JSON.parse(Buffer.concat(chunks).toString())))
    response.writeHead(200, { 'content-type': 'application/json' }).end('{}')
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}/otlp`,
    spans,
    async [Symbol.asyncDispose]() {
      server.close()
      server.closeAllConnections()
      await once(server, 'close')
    },
  }
}

function decode({ resourceSpans }: JsonExport): CollectedSpan[] {
  return resourceSpans.flatMap(({ resource, scopeSpans }) => {
    const service = String(decodeAttributes(resource.attributes)['service.name'])
    return scopeSpans.flatMap(({ spans }) =>
      spans.map(({ name, traceId, spanId, parentSpanId, attributes, status, ...times }) => ({
        service,
        name,
        traceId,
        spanId,
        parentSpanId: parentSpanId ?? null,
        start: BigInt(times.startTimeUnixNano),
        end: BigInt(times.endTimeUnixNano),
        failed: status.code === FAILED,
        attributes: decodeAttributes(attributes),
      })),
    )
  })
}

function decodeAttributes(attributes: readonly JsonAttribute[]): Record<string, unknown> {
  return Object.fromEntries(attributes.map(({ key, value }) => [key, decodeValue(value)]))
}

function decodeValue(value: JsonValue): unknown {
  return value.arrayValue === undefined ? Object.values(value)[0] : value.arrayValue.values.map(decodeValue)
}

/** Draws the spans of one trace, one a line, children indented below their parent in order of their start. */
export function drawTrace(
  spans: readonly CollectedSpan[],
  { durations }: { readonly durations: boolean },
): string {
  const known = new Set(spans.map(({ spanId }) => spanId))
  const roots = spans.filter(({ parentSpanId }) => parentSpanId === null || !known.has(parentSpanId))
  const draw = (span: CollectedSpan, depth: number): string[] => {
    const label = `${'  '.repeat(depth)}${span.name}`
    const ms = Number(span.end - span.start) / 1e6
    const children = spans.filter(({ parentSpanId }) => parentSpanId === span.spanId)
    return [
      durations ? `${label.padEnd(44)}${ms.toFixed(1).padStart(9)} ms` : label,
      ...inOrder(children).flatMap((child) => draw(child, depth + 1)),
    ]
  }
  return inOrder(roots)
    .flatMap((root) => draw(root, 0))
    .join('\n')
}

function inOrder(spans: readonly CollectedSpan[]): CollectedSpan[] {
  return [...spans].sort((a, b) => Number(a.start - b.start))
}
