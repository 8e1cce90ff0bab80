export type * from './types.ts'
export { ARTIFACT_KINDS } from './types.ts'
