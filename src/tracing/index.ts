export {
  consolidationAttributes,
  generationAttributes,
  jobAttributes,
  requestAttributes,
  responseAttributes,
  retrievedAttribute,
  rowsAttribute,
  solveAttributes,
  updatesAttribute,
  usageAttributes,
} from './attributes.ts'
export { openTracing } from './open-tracing.ts'
export { NO_TRACER, type OpenSpan, type Span, type Tracer } from './tracer.ts'
