/**
 * @file What latent search and memory are worth on the bundled model, beside everything that they must beat.
 *
 * `npm run bench:quality -- [--count 504] [--remembered 300] [--seed 20261121] [--no-curves] [--json FILE]`
 *
 * Problems are held out of training, and the seeds below were never used to choose a default (models/order-of-operations).
 */

import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { pino } from 'pino'
import { migrate, openDatabase } from '#database'
import { createEngine } from '#engine'
import { createEpisodeStore } from '#episodes'
import { makeProblems } from '../models/order-of-operations/problems.ts'
import { ARM_HEADER, type Arm, armRow, isRight, type Solved, solveAll, summarise } from './quality/measure.ts'
import { createVariants } from './quality/solvers.ts'
import { describeMachine } from './report/machine.ts'
import { areaUnderCurve, mean } from './report/statistics.ts'
import { printTable } from './report/table.ts'

const ROOT = join(import.meta.dirname, '..')

const { values } = parseArgs({
  options: {
    count: { type: 'string', default: '504' },
    remembered: { type: 'string', default: '300' },
    seed: { type: 'string', default: '20261121' },
    curves: { type: 'boolean', default: true },
    json: { type: 'string' },
  },
  allowNegative: true,
})
const seed = Number(values.seed)

const machine = describeMachine()
const logger = pino({ level: 'warn' })
await using parts = new AsyncDisposableStack()
const dataDir = await mkdtemp(join(tmpdir(), 'circadian-quality-'))
parts.defer(() => rm(dataDir, { recursive: true, force: true }))
const database = parts.adopt(await openDatabase({ dataDir, logger }), (it) => it.close())
await migrate(database.pool, join(ROOT, 'migrations'))
const engine = parts.adopt(
  await createEngine({
    directory: join(ROOT, 'models/order-of-operations'),
    executionProvider: 'cpu',
    cudaDevice: 0,
    logger,
  }),
  (it) => it.close(),
)

const problems = makeProblems({ split: 'heldout', count: Number(values.count), seed })
const asked = new Set(problems.map(({ question }) => question))
const yesterday = makeProblems({ split: 'heldout', count: Number(values.remembered), seed: seed + 1 }).filter(
  ({ question }) => !asked.has(question),
)
const variants = createVariants(engine, createEpisodeStore({ database }), problems)
const { plain } = variants
const { defaults } = engine.model.profile

console.log(`# Quality of ${engine.model.id}, ${problems.length} held-out problems, seed ${seed}`)
console.log(`\n${JSON.stringify(machine)}\n\ndefaults: ${JSON.stringify(defaults)}`)

const arms: Record<string, Arm> = {}
async function arm(name: string, solved: Promise<readonly Solved[]>, right?: (one: Solved) => boolean) {
  const done = await solved
  arms[name] = summarise(done, right)
  return done
}

const greedy = await arm('greedy', solveAll(plain, problems, { strategy: 'greedy' }))
const sampled = await arm('majority of 8', solveAll(plain, problems, { strategy: 'majority', samples: 8 }))
await arm('best of 8, same reward', solveAll(variants.bestOf, problems, { strategy: 'majority', samples: 8 }))
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

const curves: Record<string, Record<string, Arm>> = {}
if (values.curves) {
  await curve('iterations', [0, 1, 2, 3, 5, 10, 20], (maxIterations) => ({ maxIterations }))
  await curve('rho', [0.05, 0.1, 0.2, 0.3, 0.5], (rho) => ({ rho }))
  await curve('lr', [0.01, 0.03, 0.1, 0.3, 1], (lr) => ({ lr }))
}

async function curve(
  name: string,
  points: readonly number[],
  changes: (point: number) => Partial<typeof defaults>,
) {
  const measured: Record<string, Arm> = {}
  for (const point of points) {
    measured[point] = summarise(
      await solveAll(variants.tuned(changes(point)), problems, { strategy: 'latentseek' }),
    )
  }
  curves[name] = measured
  const [, ...columns] = ARM_HEADER
  printTable(
    `LatentSeek over ${name}`,
    [name, ...columns],
    points.map((point) => armRow(String(point), measured[point] as Arm)),
  )
}

if (values.json !== undefined) {
  const report = {
    machine,
    model: engine.model.id,
    fingerprint: engine.model.fingerprint,
    seed,
    defaults,
    arms,
    judge,
    curves,
  }
  await writeFile(values.json, `${JSON.stringify(report, null, 2)}\n`)
}

function hasPassed({ solution }: Solved): boolean {
  return solution.reward > defaults.stopReward
}

function precision(solved: readonly Solved[]): number {
  return mean(solved.filter(hasPassed).map((one) => Number(isRight(one))))
}
