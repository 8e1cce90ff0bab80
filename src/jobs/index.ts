export { connectQueues, type Queues, type QueuesOptions } from './connect-queues.ts'
export type { NightParts, TrainingProcess } from './consolidation/night.ts'
export type { NightTriggers, RunningWorker, WorkerParts } from './start-worker.ts'
