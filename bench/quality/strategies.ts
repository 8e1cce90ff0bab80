/** @file Quality of latent search and memory, beside the baselines and controls that they must beat. */

import type { SolveDefaults } from '#engine'
import { makeProblems, type Problem } from '../../models/order-of-operations/problems.ts'
import { areaUnderCurve, mean } from '../report/statistics.ts'
import { printTable } from '../report/table.ts'
import { ARM_HEADER, type Arm, armRow, isRight, type Solved, solveAll, summarise } from './measure.ts'
import { createVariants, type Variants } from './solvers.ts'
import type { Workbench } from './workbench.ts'

export interface StrategiesOptions {
  readonly count: number
  /** Number of problems stored in memory before `auto` is measured. */
  readonly remembered: number
  readonly seed: number
  /** Whether to sweep iterations, rho and lr. */
  readonly curves: boolean
}

export async function measureStrategies(bench: Workbench, options: StrategiesOptions) {
  const { count, remembered, seed } = options
  const { defaults } = bench.engine.model.profile
  const problems = makeProblems({ split: 'heldout', count, seed })
  const asked = new Set(problems.map(({ question }) => question))
  const yesterday = makeProblems({ split: 'heldout', count: remembered, seed: seed + 1 }).filter(
    ({ question }) => !asked.has(question),
  )
  const variants = createVariants(bench.engine, bench.episodes, problems)

  console.log(`# Quality of ${bench.engine.model.id}, ${problems.length} held-out problems, seed ${seed}`)
  console.log(`\ndefaults: ${JSON.stringify(defaults)}`)
  const { arms, judge } = await measureArms(variants, { problems, yesterday, defaults })
  const curves: Record<string, Record<string, Arm>> = {}
  if (options.curves) {
    const sweep = (name: keyof SolveDefaults, points: readonly number[]) =>
      measureCurve(variants, { problems, name, points })
    curves['iterations'] = await sweep('maxIterations', [0, 1, 2, 3, 5, 10, 20])
    curves['rho'] = await sweep('rho', [0.05, 0.1, 0.2, 0.3, 0.5])
    curves['lr'] = await sweep('lr', [0.01, 0.03, 0.1, 0.3, 1])
  }
  return { count: problems.length, defaults, arms, judge, curves }
}

interface Task {
  readonly problems: readonly Problem[]
  readonly yesterday: readonly Problem[]
  readonly defaults: SolveDefaults
}

async function measureArms(variants: Variants, { problems, yesterday, defaults }: Task) {
  const { plain } = variants
  const arms: Record<string, Arm> = {}
  async function arm(name: string, solved: Promise<readonly Solved[]>) {
    const done = await solved
    arms[name] = summarise(done)
    return done
  }

  const greedy = await arm('greedy', solveAll(plain, problems, { strategy: 'greedy' }))
  const sampled = await arm('majority of 8', solveAll(plain, problems, { strategy: 'majority', samples: 8 }))
  await arm(
    'best of 8, same reward',
    solveAll(variants.bestOf, problems, { strategy: 'majority', samples: 8 }),
  )
  const sought = await arm('**latentseek**', solveAll(plain, problems, { strategy: 'latentseek' }))

  const perSample = (arms['majority of 8']?.generatedTokens ?? 0) / 8
  const equal = Math.ceil((arms['**latentseek**']?.generatedTokens ?? 0) / perSample)
  await arm(
    `best of ${equal}, same reward, no fewer tokens than latentseek`,
    solveAll(variants.bestOf, problems, { strategy: 'majority', samples: equal }),
  )
  await arm('auto, no memory', solveAll(plain, problems, { strategy: 'auto', retrieval: false }))
  await solveAll(plain, yesterday, { strategy: 'auto', learn: true })
  const remembered = await arm(
    `**auto, ${yesterday.length} remembered**`,
    solveAll(plain, problems, { strategy: 'auto' }),
  )
  await arm(
    'control: perfect sparse reward (upper bound)',
    solveAll(variants.perfect, problems, { strategy: 'latentseek' }),
  )
  await arm(
    'control: reward always -1, 3 steps, last answer',
    solveAll(variants.constant(3), problems, { strategy: 'latentseek' }),
  )
  await arm('control: random reward', solveAll(variants.random, problems, { strategy: 'latentseek' }))
  for (const sigma of [0.1, 0.3, 1]) {
    await arm(
      `control: one Gaussian kick, sigma ${sigma}`,
      solveAll(variants.kick(sigma), problems, { strategy: 'latentseek' }),
    )
  }
  printTable(
    'Arms',
    ARM_HEADER,
    Object.entries(arms).map(([name, it]) => armRow(name, it)),
  )
  return { arms, judge: describeJudge({ greedy, sampled, sought, remembered }, defaults) }
}

type Judged = Readonly<Record<'greedy' | 'sampled' | 'sought' | 'remembered', readonly Solved[]>>

function describeJudge({ greedy, sampled, sought, remembered }: Judged, { stopReward }: SolveDefaults) {
  const hasPassed = ({ solution }: Solved) => solution.reward > stopReward
  const precision = (solved: readonly Solved[]) =>
    mean(solved.filter(hasPassed).map((one) => Number(isRight(one))))
  const judge = {
    'AUC on greedy answers': areaUnderCurve(
      greedy.map((one) => ({ score: one.solution.reward, label: isRight(one) })),
    ),
    'AUC on samples': areaUnderCurve(
      sampled.flatMap(({ problem, solution }) =>
        (solution.candidates ?? []).map(({ reward, answer }) => ({
          score: reward,
          label: answer === problem.answer,
        })),
      ),
    ),
    'greedy: share passed': mean(greedy.map((one) => Number(hasPassed(one)))),
    'greedy: precision of passed': precision(greedy),
    'latentseek: share passed': mean(sought.map((one) => Number(hasPassed(one)))),
    'latentseek: precision of passed': precision(sought),
    'latentseek: passed but wrong': sought.filter((one) => hasPassed(one) && !isRight(one)).length,
    'auto with memory: passed but wrong': remembered.filter((one) => hasPassed(one) && !isRight(one)).length,
    'below its own draft (must be 0)': [...sought, ...remembered].filter(
      ({ solution }) => solution.base !== null && solution.reward < solution.base.reward,
    ).length,
  }
  printTable('The judge', ['measure', 'value'], Object.entries(judge))
  return judge
}

interface Sweep {
  readonly problems: readonly Problem[]
  readonly name: keyof SolveDefaults
  readonly points: readonly number[]
}

async function measureCurve(
  variants: Variants,
  { problems, name, points }: Sweep,
): Promise<Record<string, Arm>> {
  const measured: Record<string, Arm> = {}
  for (const point of points) {
    const tuned = variants.tuned({ [name]: point })
    measured[point] = summarise(await solveAll(tuned, problems, { strategy: 'latentseek' }))
  }
  const [, ...columns] = ARM_HEADER
  printTable(
    `LatentSeek over ${name}`,
    [name, ...columns],
    Object.entries(measured).map(([point, arm]) => armRow(point, arm)),
  )
  return measured
}
