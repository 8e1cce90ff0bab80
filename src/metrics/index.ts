export { createMetrics, type Metrics } from './create-metrics.ts'
export { createWorkerMetrics } from './create-worker-metrics.ts'
