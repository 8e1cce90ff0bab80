/**
 * @file Chooses the states that questions are embedded by, their mean, and the similarity below which a question is
 * far from all others.
 *
 * Questions of one family are related, others are not. The best embedding finds most related pairs at the similarity
 * that only one in a hundred unrelated pairs exceeds.
 */

import { queryEmbedding } from '#algorithms'
import { dot } from '#tensor'

/** States of one question by candidate: the last token's, then those of every layer, `[D]` each. */
export interface QuestionStates {
  readonly family: string
  readonly states: readonly Float32Array[]
}

interface EmbeddingRow {
  /** null: the last token after the final norm. */
  readonly layer: number | null
  /** Share of unrelated pairs that are less similar than a related pair, over all such comparisons. */
  readonly auc: number
  /** Share of related pairs above the similarity that one in a hundred unrelated pairs exceeds. */
  readonly found: number
  /** Share of the three nearest questions that are of the same family. */
  readonly recall: number
}

export interface EmbeddingChoice {
  readonly questions: number
  readonly pairs: { readonly related: number; readonly unrelated: number }
  readonly rows: readonly EmbeddingRow[]
  readonly chosen: EmbeddingRow
  /** Mean state over all questions, `[D]`. */
  readonly mean: Float32Array
  /** Similarity of all questions after centring, that one in a hundred unrelated pairs exceeds. */
  readonly floor: number
  /** Share of related pairs above the floor. */
  readonly related: number
}

/** Fewer questions show no embedding. */
const MIN_QUESTIONS = 20
const NEAREST = 3
/** Share of unrelated pairs above the floor. */
const FALSE_NEIGHBOURS = 0.01

/**
 * The mean of the even questions centres the odd ones, which the rows are measured on.
 *
 * @returns null for fewer than 20 questions, or fewer than two families of several questions
 */
export function chooseEmbedding(questions: readonly QuestionStates[]): EmbeddingChoice | null {
  const families = Map.groupBy(questions, ({ family }) => family)
  const several = [...families.values()].filter((own) => own.length >= 4)
  if (questions.length < MIN_QUESTIONS || several.length < 2) return null
  // Both halves have questions of every family.
  const halves = [0, 1].map((half) =>
    [...families.values()].flatMap((own) => own.filter((_, i) => i % 2 === half)),
  )
  const [even, odd] = halves as [QuestionStates[], QuestionStates[]]
  const rows = questions[0]!.states.map((_, candidate) => {
    const mean = meanOf(even, candidate)
    return { layer: candidate === 0 ? null : candidate - 1, ...separationOf(odd, candidate, mean) }
  })
  const chosen = rows.reduce((best, row) => (isBetter(row, best) ? row : best))
  const candidate = chosen.layer === null ? 0 : chosen.layer + 1
  const mean = meanOf(questions, candidate)
  const { related, unrelated } = similaritiesOf(questions, candidate, mean)
  const floor = floorOf(unrelated)
  return {
    questions: questions.length,
    pairs: { related: related.length, unrelated: unrelated.length },
    rows,
    chosen,
    mean,
    floor,
    related: shareAbove(related, floor),
  }
}

function isBetter(row: EmbeddingRow, best: EmbeddingRow): boolean {
  return row.found === best.found ? row.auc > best.auc : row.found > best.found
}

function meanOf(questions: readonly QuestionStates[], candidate: number): Float32Array {
  const sum = new Float64Array(questions[0]!.states[candidate]!.length)
  for (const { states } of questions) {
    for (const [index, value] of states[candidate]!.entries()) sum[index]! += value
  }
  return Float32Array.from(sum, (value) => value / questions.length)
}

function separationOf(
  questions: readonly QuestionStates[],
  candidate: number,
  mean: Float32Array,
): Omit<EmbeddingRow, 'layer'> {
  const { related, unrelated, recall } = similaritiesOf(questions, candidate, mean)
  return { auc: aucOf(related, unrelated), found: shareAbove(related, floorOf(unrelated)), recall }
}

function similaritiesOf(questions: readonly QuestionStates[], candidate: number, mean: Float32Array) {
  const embeddings = questions.map(({ states }) => queryEmbedding(states[candidate]!, mean))
  const related: number[] = []
  const unrelated: number[] = []
  let hits = 0
  let wanted = 0
  for (const [i, { family }] of questions.entries()) {
    const others = questions.flatMap((other, j) =>
      j === i
        ? []
        : [{ similarity: dot(embeddings[i]!, embeddings[j]!), isRelated: other.family === family, j }],
    )
    for (const { similarity, isRelated, j } of others) {
      if (j > i) (isRelated ? related : unrelated).push(similarity)
    }
    const nearest = others.sort((a, b) => b.similarity - a.similarity).slice(0, NEAREST)
    hits += nearest.filter(({ isRelated }) => isRelated).length
    wanted += Math.min(NEAREST, others.filter(({ isRelated }) => isRelated).length)
  }
  return { related, unrelated, recall: hits / Math.max(1, wanted) }
}

/** Returns the similarity that one in a hundred unrelated pairs exceeds, rounded up to three decimals. */
function floorOf(unrelated: readonly number[]): number {
  const sorted = unrelated.toSorted((a, b) => a - b)
  const value = sorted[Math.ceil((1 - FALSE_NEIGHBOURS) * sorted.length) - 1] ?? 1
  return Math.min(1, Math.ceil(value * 1000) / 1000)
}

function shareAbove(values: readonly number[], floor: number): number {
  return values.filter((value) => value >= floor).length / Math.max(1, values.length)
}

/** Share of (related, unrelated) pairs in order, a tie counting one half (Mann-Whitney). */
function aucOf(related: readonly number[], unrelated: readonly number[]): number {
  const sorted = unrelated.toSorted((a, b) => a - b)
  const below = (value: number, orEqual: boolean) => {
    let [low, high] = [0, sorted.length]
    while (low < high) {
      const middle = (low + high) >> 1
      if (sorted[middle]! < value || (orEqual && sorted[middle] === value)) low = middle + 1
      else high = middle
    }
    return low
  }
  const ordered = related.reduce((sum, value) => sum + (below(value, false) + below(value, true)) / 2, 0)
  return ordered / (related.length * sorted.length)
}
