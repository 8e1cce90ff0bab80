/**
 * @file Recall of the projections: the share of the nearest embeddings that are among the candidates, which the exact
 * distances then order. On embeddings of a real model, and on synthetic clusters.
 */

import { pino } from 'pino'
import { queryEmbedding } from '#algorithms'
import { createEngine } from '#engine'
import { createRandom, createRandomProjection, dot, fromFloat16, norm, type Random, toFloat16 } from '#tensor'
import { promptOf } from '../engine/models.ts'
import { progress } from '../report/progress.ts'
import type { Measurement } from '../report/records.ts'
import { mean } from '../report/statistics.ts'
import { printTable } from '../report/table.ts'
import { randomVector } from './synthetic.ts'

const DIMS = 256
const TOP_KS = [3, 4, 8] as const
const OVERSAMPLINGS = [1, 2, 4, 8, 16] as const
const SYNTHETIC = { width: 896, episodes: 10_000, centres: 1_000, queries: 300 }
const MODEL_QUESTIONS = 600

export interface RecallOptions {
  readonly seed: number
  /** Directory of a model to embed questions with; null: synthetic clusters only. */
  readonly model: string | null
}

interface QuestionSet {
  readonly name: string
  readonly embeddings: readonly Float32Array[]
  /** Indexes of the embeddings that are queries. A query is not its own neighbour. */
  readonly queries: readonly number[]
}

export async function measureRecall({ seed, model }: RecallOptions): Promise<Measurement[]> {
  const sets: QuestionSet[] = [{ name: 'clusters', ...clusters(seed) }]
  if (model !== null) {
    const states = await embedQuestions(model, seed)
    const centre = states[0]!.map((_, index) => mean(states.map((state) => state[index]!)))
    for (const [name, middle] of [
      ['questions, not centred', null],
      ['questions, centred', centre],
    ] as const) {
      const embeddings = states.map((state) => queryEmbedding(state, middle))
      sets.push({ name, embeddings, queries: embeddings.map((_, index) => index) })
    }
  }
  const measured = sets.flatMap((set) => recallOf(set, seed))
  printTable(
    'Recall',
    ['embeddings', 'k', 'n', ...Object.keys(measured[0]?.figures ?? {})],
    measured.map(({ case: labels, n, figures }) => [
      ...Object.values(labels),
      n ?? 0,
      ...Object.values(figures),
    ]),
  )
  return measured
}

/** Embeddings around random centres, with noise of length .7 in random directions, as in `synthetic.ts`. */
function clusters(seed: number) {
  const random = createRandom(seed)
  const { width, episodes, queries } = SYNTHETIC
  const centres = Array.from({ length: SYNTHETIC.centres }, () => randomVector(random, width))
  const near = (centre: Float32Array) => {
    const noise = randomVector(random, width)
    const moved = centre.map((value, index) => value + Math.SQRT1_2 * noise[index]!)
    const scale = 1 / norm(moved)
    return moved.map((value) => value * scale)
  }
  const embeddings = Array.from({ length: episodes }, () => near(draw(random, centres)))
  return { embeddings, queries: Array.from({ length: queries }, (_, index) => index) }
}

function recallOf({ name, embeddings, queries }: QuestionSet, seed: number): Measurement[] {
  const project = createRandomProjection(embeddings[0]!.length, DIMS, seed)
  // The stored form: half precision. The length does not count.
  const projections = embeddings.map((embedding) => unit(fromFloat16(toFloat16(project(embedding)))))
  const exact = queries.map((query) => order(embeddings, query))
  const projected = queries.map((query) => order(projections, query))
  return TOP_KS.map((k) => {
    const recall = (candidates: number) =>
      mean(
        exact.map((truth, index) => {
          const found = new Set(projected[index]!.slice(0, candidates))
          return truth.slice(0, k).filter((neighbour) => found.has(neighbour)).length / k
        }),
      )
    const figures = Object.fromEntries(OVERSAMPLINGS.map((times) => [`x${times}`, recall(k * times)]))
    return { part: 'recall', case: { embeddings: name, k }, n: queries.length, figures }
  })
}

function unit(vector: Float32Array): Float32Array {
  const scale = 1 / norm(vector)
  return vector.map((value) => value * scale)
}

/** Returns the indexes of the other vectors, nearest first, as many as any candidate set has. */
function order(vectors: readonly Float32Array[], query: number): number[] {
  const similarities = vectors.map((vector) => dot(vector, vectors[query]!))
  return vectors
    .map((_, index) => index)
    .filter((index) => index !== query)
    .sort((a, b) => similarities[b]! - similarities[a]!)
    .slice(0, Math.max(...TOP_KS) * Math.max(...OVERSAMPLINGS))
}

/** Raw states of the last prompt tokens. */
async function embedQuestions(directory: string, seed: number): Promise<Float32Array[]> {
  const engine = await createEngine({
    directory,
    threads: 2,
    replicas: 1,
    executionProvider: 'cpu',
    cudaDevice: 0,
    logger: pino({ level: 'error' }),
  })
  const states: Float32Array[] = []
  for (const question of makeQuestions(MODEL_QUESTIONS, seed)) {
    const session = await engine.open(promptOf(engine, question), { signal: new AbortController().signal })
    states.push(await session.embed())
    session.close()
    if (states.length % 100 === 0) progress(`${states.length} questions embedded`)
  }
  await engine.close()
  return states
}

function draw<T>(random: Random, values: readonly T[]): T {
  return values[Math.floor(random.uniform() * values.length)]!
}

/** Returns different questions of ten kinds. */
function makeQuestions(count: number, seed: number): ReadonlySet<string> {
  const random = createRandom(seed)
  const pick = (...values: readonly string[]) => draw(random, values)
  const int = (from: number, to: number) => from + Math.floor(random.uniform() * (to - from + 1))
  const name = () => pick('Ann', 'Ben', 'Chloe', 'David', 'Eve', 'Farid', 'Grace', 'Hugo')
  const kinds: readonly (() => string)[] = [
    () => `What is ${int(2, 99)} * ${int(2, 99)} + ${int(1, 200)}?`,
    () =>
      `${name()} has ${int(5, 60)} ${pick('apples', 'pencils', 'stamps', 'marbles', 'coins', 'tickets')}, buys ${int(2, 30)} more and gives ${int(1, 20)} to ${name()}. How many are left?`,
    () =>
      `Write a ${pick('Python', 'JavaScript', 'Rust', 'SQL', 'C', 'Go')} function that ${pick('reverses a string', 'sums a list of numbers', 'finds the largest value', 'checks for a palindrome', 'counts the words of a text', 'removes duplicates', 'sorts dates')}.`,
    () =>
      `Explain ${pick('the water cycle', 'photosynthesis', 'a binary search', 'the French Revolution', 'compound interest', 'a hash table', 'plate tectonics', 'a vaccine', 'recursion', 'inflation')} in ${pick('one sentence', 'three sentences', 'simple words', 'a short paragraph')}.`,
    () =>
      `What is the ${pick('capital', 'currency', 'largest river', 'highest mountain')} of ${pick('France', 'Japan', 'Brazil', 'Egypt', 'Canada', 'Norway', 'Kenya', 'Peru', 'India', 'Spain')}?`,
    () => `Solve for x: ${int(2, 12)}x ${pick('+', '-')} ${int(1, 40)} = ${int(10, 120)}.`,
    () =>
      `A ${pick('train', 'car', 'bike', 'boat')} travels ${int(20, 400)} km in ${int(1, 9)} hours. What is its average speed?`,
    () => `What is ${int(5, 95)} percent of ${int(20, 900)}?`,
    () =>
      `Translate "${pick('good morning', 'where is the station', 'I am hungry', 'see you tomorrow', 'the book is red')}" into ${pick('French', 'Spanish', 'German', 'Italian', 'Dutch')}.`,
    () =>
      `A rectangle has sides of ${int(2, 40)} cm and ${int(2, 40)} cm. What is its ${pick('area', 'perimeter', 'diagonal')}?`,
  ]
  const questions = new Set<string>()
  while (questions.size < count) questions.add(draw(random, kinds)())
  return questions
}
