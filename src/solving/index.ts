export type * from './types.ts'
export { STRATEGIES } from './types.ts'
