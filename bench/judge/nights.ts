/** @file Nights of the fused judge over kept answers: split, fit and gate as in the product, without decoding anything again. */

import { comparePolicies, decodeJudge, gateJudge, openFusedJudge, trainJudge } from '#algorithms'
import type { FusedJudge } from '#ports'
import { openSplit, splitNight } from '../../src/consolidation/split-night.ts'
import { examplesOf, type KeptExample, type KeptQuestion } from './answers.ts'

/** A judge that scores, and the weights and the policy that its artifact holds. */
export interface Judge {
  readonly weights: ReturnType<typeof decodeJudge>
  readonly score: FusedJudge['score']
}

export interface HeldNight {
  readonly night: number
  /** Answers of the days so far. */
  readonly answers: number
  readonly promoted: boolean
  readonly reason: string
  /** Judge that it fitted; null: it had too little to fit one. */
  readonly candidate: Judge | null
  /** Judge that serves after it; null: none yet. */
  readonly serving: Judge | null
}

interface Served {
  readonly judge: Judge | null
  /** Problems that a promoted judge was fitted to. */
  readonly known: ReadonlySet<string>
}

/** Holds one night after each day, each over the answers of all days so far. @param seed of the splits and of the gates */
export async function holdNights(days: readonly KeptQuestion[], seed: number): Promise<readonly HeldNight[]> {
  const nights: HeldNight[] = []
  let served: Served = { judge: null, known: new Set() }
  const last = Math.max(...days.map(({ day }) => day))
  for (let night = 1; night <= last; night++) {
    const asked = days.filter(({ day }) => day <= night)
    const held = await holdNight(asked, served, { night, seed })
    served = held.served
    nights.push({ night, ...held.result, serving: served.judge })
  }
  return nights
}

async function holdNight(
  asked: readonly KeptQuestion[],
  served: Served,
  { night, seed }: { readonly night: number; readonly seed: number },
): Promise<{ readonly result: Omit<HeldNight, 'night' | 'serving'>; readonly served: Served }> {
  const examples = await divide(asked, served, `night ${night} of ${seed}`)
  const trained = trainJudge(examples, served.judge?.weights)
  const answers = examples.length
  if ('skipped' in trained) {
    return { result: { answers, promoted: false, reason: trained.skipped, candidate: null }, served }
  }
  const { model, heldOut } = trained.trained
  const version = `night ${night}`
  const judge = { weights: decodeJudge(version, model), score: openFusedJudge(version, model).score }
  const measured = heldOut.map((index) => examples[index]!)
  const scoresOf = (by: Judge) => by.score(measured.map(({ known }) => known))
  const byHand = {
    order: measured.map((one) => one.byHand.reward),
    probability: measured.map((one) => one.byHand.probability),
  }
  const scores = await scoresOf(judge)
  const rival = served.judge === null ? null : await scoresOf(served.judge)
  const { promoted, reason } = gateJudge({
    answers: measured.map(({ answer }, index) => ({ ...answer, score: scores[index]! })),
    active: rival === null ? byHand : { order: rival, probability: rival },
    hasActive: rival !== null,
    anchor: null,
    policies: comparePolicies(judge.weights, served.judge?.weights ?? null, measured),
    replacesStale: false,
    seed,
  })
  const result = { answers, promoted, reason, candidate: judge }
  if (!promoted) return { result, served }
  const known = examples
    .filter(({ part }) => part === 'train' || part === 'calibration')
    .map(({ answer }) => answer.question)
  return { result, served: { judge, known: new Set(known) } }
}

/** Divides the questions as a night does. They were drawn apart, so that none is a near-duplicate of another. */
async function divide(
  asked: readonly KeptQuestion[],
  { judge, known }: Served,
  salt: string,
): Promise<readonly KeptExample[]> {
  const episodes = asked.map(({ problem }, index) => ({
    tenantId: 'default',
    episodeId: problem,
    question: problem,
    embedding: Float32Array.from(asked, (_, other) => Number(other === index)),
    steers: true,
    trained: known.has(problem),
    asked: true,
  }))
  const { placeOf } = openSplit(await splitNight(episodes, { salt, hasActive: judge !== null }))
  return asked.flatMap((question, index) => {
    const { part } = placeOf(episodes[index]!, question.problem)
    return part === 'unused' ? [] : examplesOf(question, part)
  })
}
