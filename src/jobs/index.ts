export { connectQueues, type Queues } from './connect-queues.ts'
export { type Backlog, readBacklog } from './read-backlog.ts'
export { createSolutionStore } from './solution-store.ts'
export type { ConsolidationTriggers, JobObservation, RunningWorker } from './start-worker.ts'
