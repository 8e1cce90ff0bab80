export { type AppDeps, buildApp } from './app.ts'
export { DEFAULT_LIMITS, type Limits } from './limits.ts'
export type { Dependency, Health } from './routes/health.ts'
