/** @file Opens the tracer of a process: loads OpenTelemetry when traces have a destination, else nothing. */

import { NO_TRACER, type Tracer } from './tracer.ts'

export interface TracingLogger {
  info(details: object, message: string): void
  warn(details: object, message: string): void
}

export interface TracingOptions {
  /** Base URL of an OTLP collector that accepts HTTP with JSON; null records nothing. */
  readonly endpoint: string | null
  /** Name of this process in traces. */
  readonly service: string
  readonly version: string
  readonly logger: TracingLogger
}

export interface Tracing {
  readonly tracer: Tracer
  /** Exports the spans that are left, within 2 s. Spans that end later are lost. */
  close(): Promise<void>
}

export async function openTracing({ endpoint, ...options }: TracingOptions): Promise<Tracing> {
  if (endpoint === null) return { tracer: NO_TRACER, async close() {} }
  const { openOtlpTracing } = await import('./otlp-tracing.ts')
  return openOtlpTracing({ ...options, endpoint })
}
