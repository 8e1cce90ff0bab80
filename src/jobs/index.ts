export { connectQueues, type Queues, type QueuesOptions } from './connect-queues.ts'
export type { ConsolidationTriggers, RunningWorker, WorkerParts } from './start-worker.ts'
