/** @file Clusters of near-duplicate questions: the same folded text, or embeddings with a cosine of .999. */

import { createYielding } from '#algorithms'

/** Squared distance of two unit vectors with a cosine of .999. */
const NEAR_DUPLICATE_DISTANCE_SQ = 0.002
/** Number of comparisons between two looks at the clock. */
const COMPARISONS_PER_SLICE = 1024

export interface EmbeddedQuestion {
  readonly question: string
  /** Centred and normalised. */
  readonly embedding: Float32Array
}

/**
 * Returns the text by which questions are the same: NFKC, lower case, one space for each run of white space,
 * none beside a symbol, no sentence punctuation. Symbols that change the meaning of a calculation
 * (`+ - * / ( ) %`, a point between digits) are kept.
 */
export function foldQuestion(question: string): string {
  return question
    .normalize('NFKC')
    .toLowerCase()
    .replaceAll(/(?<!\d)[.,:]|[.,:](?!\d)|[;!?¿¡"'`«»“”„‘’]/gu, ' ')
    .replaceAll(/\s+/gu, ' ')
    .replaceAll(/ ?([^\p{L}\p{N} ]) ?/gu, '$1')
    .trim()
}

/**
 * Returns the cluster of each question, numbered in the order of their first question. Two questions are in
 * one cluster when a chain of near-duplicates joins them, so that no two near-duplicates are ever in
 * different clusters. Compares all pairs of different texts, each as far as their distance allows, and yields
 * to the event loop.
 *
 * @throws the signal's reason when it has fired
 */
export async function clusterQuestions(
  questions: readonly EmbeddedQuestion[],
  signal?: AbortSignal,
): Promise<readonly number[]> {
  const pause = createYielding(signal)
  const texts = new Map<string, number>()
  const embeddings: Float32Array[] = []
  const textOf: number[] = []
  for (const { question, embedding } of questions) {
    await pause()
    const text = foldQuestion(question)
    const known = texts.get(text) ?? texts.size
    textOf.push(known)
    if (known < texts.size) continue
    texts.set(text, known)
    embeddings.push(embedding)
  }
  const root = await joinNeighbours(embeddings, signal)
  const numbers = new Map<number | undefined, number>()
  return textOf.map((text) => {
    const number = numbers.get(root[text]) ?? numbers.size
    numbers.set(root[text], number)
    return number
  })
}

/** Returns, for each embedding, the index of one that stands for all that are joined to it. */
async function joinNeighbours(
  embeddings: readonly Float32Array[],
  signal?: AbortSignal,
): Promise<readonly number[]> {
  const pause = createYielding(signal)
  const parent = embeddings.map((_, index) => index)
  const rootOf = (index: number): number => {
    let root = index
    for (let above = parent[root]; above !== undefined && above !== root; above = parent[root]) root = above
    parent[index] = root
    return root
  }
  let comparisons = 0
  for (const [index, own] of embeddings.entries()) {
    for (const [other, earlier] of embeddings.entries()) {
      if (other === index) break
      if (++comparisons % COMPARISONS_PER_SLICE === 0) await pause()
      if (isNear(own, earlier)) parent[rootOf(index)] = rootOf(other)
    }
  }
  return parent.map((_, index) => rootOf(index))
}

/** Returns whether two embeddings are near-duplicates. Stops at a large distance, so that scans are cheap. */
export function isNear(a: Float32Array, b: Float32Array): boolean {
  if (a.length !== b.length) return false
  let distance = 0
  for (let i = 0; i < a.length && distance <= NEAR_DUPLICATE_DISTANCE_SQ; i++) {
    distance += ((a[i] ?? Number.NaN) - (b[i] ?? Number.NaN)) ** 2
  }
  return distance <= NEAR_DUPLICATE_DISTANCE_SQ
}
