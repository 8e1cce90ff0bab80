/** @file Greedy drafts of problems under a profile, graded, with the verdicts of several judges on each. */

import { createHash } from 'node:crypto'
import type { Engine, ModelProfile } from '#engine'
import { createGrade, type JudgedSample, type Problem } from '#evaluation'
import { createSolver, type Solution, type SolveRequest, type Solver } from '#solving'
import type { ProfileFolder } from './profile-folder.ts'
import type { JudgeTemplate } from './templates.ts'

export interface Measuring {
  readonly engine: Engine
  readonly folder: ProfileFolder
  /** Name of the file of problems, for errors. */
  readonly file: string
  readonly seed: number
  readonly signal: AbortSignal
}

/** A graded draft. */
export interface DraftRecord {
  readonly right: boolean
  /** Whether it has an answer, and ended by itself. */
  readonly isWhole: boolean
  readonly tokens: number
  /** Value of the format rules, in [-1, 0]. */
  readonly format: number
  /** P(correct) of each judge, by its place; 0 for a draft that is not whole. */
  readonly verdicts: readonly number[]
  /** Value of the verifier in [-1, 0] where the profile keeps several criteria; absent where each judge is one. */
  readonly verifier?: number
  /** The draft as a candidate beside samples; absent without a verdict, and in folders of earlier releases. */
  readonly candidate?: JudgedSample
}

const SILENT = { info() {}, warn() {} }
const TENANT = 'profile'

/** Asks problems under one profile. */
export interface Asking {
  /** Short hash of the profile, for the keys of measurements. */
  readonly key: string
  ask(problem: Problem, request: Pick<SolveRequest, 'strategy' | 'samples' | 'explain'>): Promise<Solution>
  isRight(problem: Problem, answer: string | null): boolean
}

export function askUnder(profile: ModelProfile, problems: readonly Problem[], measuring: Measuring): Asking {
  const { engine, file, seed, signal } = measuring
  const model = { ...engine.model, profile }
  const solver: Solver = createSolver({ engine: { ...engine, model }, episodes: null, logger: SILENT })
  const grade = createGrade(problems, solver.answerKeys.keyOf, file)
  return {
    key: createHash('sha256').update(JSON.stringify(profile)).digest('hex').slice(0, 12),
    ask: ({ question }, request) =>
      solver.solve(
        { ...request, tenantId: TENANT, question, seed, learn: false, retrieval: false },
        { signal },
      ),
    isRight: grade,
  }
}

/** Returns the profile whose judge asks all judges at once, and which no verdict ends a search under. */
export function withJudges(profile: ModelProfile, judges: readonly JudgeTemplate[]): ModelProfile {
  const [own, ...ours] = judges
  const others = ours.map(({ criterion }, index) => ({ ...criterion, name: `judge ${index + 1}` }))
  const criteria = [
    ...profile.judge.criteria.filter(({ name }) => name !== 'correctness'),
    own!.criterion,
    ...others,
  ]
  return { ...profile, judge: { ...profile.judge, criteria } }
}

const isCriterion = (term: string) => term.startsWith('verifier.')

/** Key of a draft in the folder. */
export function draftKey({ key }: Pick<Asking, 'key'>, { id }: Problem): string {
  return `draft ${key} ${id}`
}

/** Returns the draft of a problem, from the folder or measured now. */
export function measureDraft(
  asking: Asking,
  problem: Problem,
  judges: readonly JudgeTemplate[],
  { folder }: Pick<Measuring, 'folder'>,
): Promise<DraftRecord> {
  return folder.measure(draftKey(asking, problem), async () => {
    const solution = await asking.ask(problem, { strategy: 'greedy', explain: true })
    const [candidate] = solution.candidates ?? []
    const { rewardTerms: terms = {}, tokens = 0 } = candidate ?? {}
    const right = asking.isRight(problem, solution.answer)
    const verdicts = judges.map((_, index) => {
      const name = index === 0 ? 'correctness' : `judge ${index}`
      return 1 + (terms[`verifier.${name}`] ?? -1)
    })
    // Our judges stand beside the own one; they are tried on a profile of one criterion alone.
    const keepsSeveral = judges.length === 1 && Object.keys(terms).filter(isCriterion).length > 1
    return {
      ...(keepsSeveral && { verifier: terms['verifier'] ?? -1 }),
      ...(candidate !== undefined && { candidate: { ...candidate, right } }),
      right,
      isWhole: solution.answer !== null && solution.stopped === 'single',
      tokens,
      format: terms['format'] ?? 0,
      verdicts,
    }
  })
}
