/** @file Opens the tracer of a process: loads OpenTelemetry when traces have a destination, else nothing. */

import { NO_TRACER, type Tracing, type TracingOptions } from './tracer.ts'

export async function openTracing({ endpoint, ...options }: TracingOptions): Promise<Tracing> {
  if (endpoint === null) return { tracer: NO_TRACER, async close() {} }
  const { openOtlpTracing } = await import('./otlp-tracing.ts')
  return openOtlpTracing({ ...options, endpoint })
}
