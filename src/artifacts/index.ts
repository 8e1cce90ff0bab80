export { createArtifactStore } from './create-artifact-store.ts'
export { createConsolidationStore } from './create-consolidation-store.ts'
export type * from './types.ts'
export { ARTIFACT_KINDS } from './types.ts'
