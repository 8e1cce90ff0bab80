export { type CheckOptions, checkModel } from './check-model.ts'
export { formatReport } from './format-report.ts'
export type { ModelReport } from './model-report.ts'
