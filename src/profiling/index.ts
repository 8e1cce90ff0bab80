export { openProfileFolder, type ProfileFolder } from './profile-folder.ts'
export { type Findings, profileModel } from './profile-model.ts'
export { drawCurves, profileReport } from './report.ts'
export { createStages, STAGES, type StageName } from './timed-stages.ts'
