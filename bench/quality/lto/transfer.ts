/**
 * @file Transfer of reward models between families of problems: models trained on one family, on half of the
 * families and on a mixture, each measured on held-out problems of every family.
 */

import type { GraphRunner } from '#ports'
import { makeProblems, type Problem, trainedFamilies } from '../../../models/order-of-operations/problems.ts'
import { mean } from '../../report/statistics.ts'
import { printTable } from '../../report/table.ts'
import { aucOn, type Example, trainOn } from './training.ts'

const FAMILIES = trainedFamilies.map(({ family }) => family)

/** Index of a family's half. Families alternate, so that each half has every convention. */
const halfOf = (family: string) => FAMILIES.indexOf(family) % 2

export interface FamilyTransfer {
  readonly family: string
  /** AUC of a model trained on the family's own questions. */
  readonly own: number
  /** AUC of a model trained on as many questions as `own`, drawn from all families. */
  readonly mixedAsMany: number
  /** AUC of a model trained on all questions of all families. */
  readonly mixed: number
  /** AUC of a model trained on all questions of the family's half of the families. */
  readonly sameHalf: number
  /** AUC of a model trained on all questions of the other half of the families. */
  readonly otherHalf: number
}

export interface TransferOptions {
  /** Training answers; every family has the same number of questions. */
  readonly taught: readonly Example[]
  readonly heldOut: readonly Example[]
  readonly seed: number
}

export async function measureTransfer(
  runner: GraphRunner,
  { taught, heldOut, seed }: TransferOptions,
): Promise<readonly FamilyTransfer[]> {
  /** AUC by family of a model trained on `examples`; empty when they are too few to train on. */
  async function byFamily(examples: readonly Example[], families: readonly string[] = FAMILIES) {
    const trained = await trainOn(runner, examples, seed)
    const aucs = new Map<string, number>()
    if (typeof trained === 'string') return aucs
    for (const family of families) {
      aucs.set(
        family,
        (
          await aucOn(
            trained,
            heldOut.filter((example) => example.family === family),
          )
        ).value,
      )
    }
    await trained.close()
    return aucs
  }

  const mixed = await byFamily(taught)
  const mixedAsMany = await byFamily(asManyAsOneFamily(taught))
  const halves = [0, 1].map((half) => byFamily(taught.filter(({ family }) => halfOf(family) === half)))
  const [even, odd] = await Promise.all(halves)
  const transfers: FamilyTransfer[] = []
  for (const family of FAMILIES) {
    const own = await byFamily(
      taught.filter((example) => example.family === family),
      [family],
    )
    const [same, other] = halfOf(family) === 0 ? [even, odd] : [odd, even]
    const of = (aucs: ReadonlyMap<string, number> | undefined) => aucs?.get(family) ?? Number.NaN
    transfers.push({
      family,
      own: of(own),
      mixedAsMany: of(mixedAsMany),
      mixed: of(mixed),
      sameHalf: of(same),
      otherHalf: of(other),
    })
  }
  printTransfer(transfers)
  return transfers
}

/** Mixture of all families with as many questions as a single family has. */
function asManyAsOneFamily(taught: readonly Example[]): readonly Example[] {
  const byFamily = Map.groupBy(taught, ({ family }) => family)
  return [...byFamily.values()].flatMap((examples) => {
    const questions = [...new Set(examples.map(({ question }) => question))]
    const kept = new Set(questions.slice(0, Math.ceil(questions.length / byFamily.size)))
    return examples.filter(({ question }) => kept.has(question))
  })
}

/** The first `count` problems of each family of the training split. */
export function problemsOfEachFamily(count: number, seed: number): readonly Problem[] {
  // Families are drawn uniformly: three times as many problems hold enough of each; otherwise a family has
  // fewer.
  const problems = makeProblems({ split: 'train', count: count * FAMILIES.length * 3, seed })
  const byFamily = Map.groupBy(problems, ({ family }) => family)
  return FAMILIES.flatMap((family) => byFamily.get(family)?.slice(0, count) ?? [])
}

function printTransfer(transfers: readonly FamilyTransfer[]): void {
  const columns = ['own', 'mixedAsMany', 'mixed', 'sameHalf', 'otherHalf'] as const
  const means = columns.map((column) => mean(transfers.map((each) => each[column]).filter(Number.isFinite)))
  printTable(
    'Transfer: AUC on held-out problems of a family, by what the model was trained on',
    ['family', 'its own', 'a mixture of as many', 'everything', 'its half', 'the other half'],
    [
      ...transfers.map((each) => [each.family, ...columns.map((column) => each[column])]),
      ['**mean**', ...means],
    ],
  )
}
