export { connectQueues, type Queues, type QueuesOptions } from './connect-queues.ts'
export type { NightTriggers, RunningWorker, WorkerParts } from './start-worker.ts'
