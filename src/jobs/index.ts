export { connectQueues, type Queues } from './connect-queues.ts'
export type { ConsolidationTriggers, RunningWorker } from './start-worker.ts'
