export { connectQueues, type Queues, type QueuesOptions } from './connect-queues.ts'
export type { NightParts } from './consolidation/night.ts'
export type { TrainingProcess } from './consolidation/start-when-asked.ts'
export type { NightTriggers, RunningWorker, WorkerParts } from './start-worker.ts'
