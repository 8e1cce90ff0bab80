/** @file The interface through which rooms record spans, and the tracer that records none. */

type AttributeValue = string | number | boolean | readonly string[]

/** Attributes of a span, by name; `undefined` leaves an attribute out. They hold no prompts and no answers. */
export type Attributes = Readonly<Record<string, AttributeValue | undefined>>

export interface Span {
  /** Adds attributes. */
  set(attributes: Attributes): void
}

/** Span whose end the caller sets. */
export interface OpenSpan extends Span {
  /** Runs `work` with this span as the parent of the spans that `work` begins. */
  run<T>(work: () => T): T
  /** Ends the span; the type of an error marks it as failed. */
  end(errorType?: string): void
}

export interface SpanOptions {
  /** `internal` unless given. */
  readonly kind?: 'internal' | 'server' | 'consumer'
  /**
   * Trace to continue, as a `traceparent` of W3C Trace Context. Used only where no span of this process is
   * the parent; ignored when it is malformed.
   */
  readonly traceparent?: string | undefined
}

/** Records spans. A span that begins while another one runs becomes its child. */
export interface Tracer {
  /** Runs `work` in a span, and marks the span as failed when `work` throws. */
  trace<T>(
    name: string,
    attributes: Attributes,
    work: (span: Span) => Promise<T>,
    options?: SpanOptions,
  ): Promise<T>
  /** Begins a span that the caller ends. */
  open(name: string, attributes: Attributes, options?: SpanOptions): OpenSpan
  /** Returns the `traceparent` of the current span; undefined outside any span. */
  traceparent(): string | undefined
}

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

const NO_SPAN: OpenSpan = {
  set() {},
  run: (work) => work(),
  end() {},
}

/** Tracer that records nothing. */
export const NO_TRACER: Tracer = {
  trace: (_name, _attributes, work) => work(NO_SPAN),
  open: () => NO_SPAN,
  traceparent: () => undefined,
}
