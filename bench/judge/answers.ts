/** @file Kept answers of a real model, as a night of the fused judge reads them. */

import { readFile } from 'node:fs/promises'
import { gunzipSync } from 'node:zlib'
import { agreementOf, type JudgeExample } from '#algorithms'
import type { AnswerRecord, JudgedSample } from '#evaluation'
import type { JudgedAnswer } from '#ports'

/** One question: its greedy draft, and the samples beside it. */
export interface KeptQuestion {
  readonly problem: string
  /** Day of learning on which it was asked, from 1; 0: on none. */
  readonly day: number
  readonly draft: JudgedSample
  readonly samples: readonly JudgedSample[]
}

type KeptRecord = AnswerRecord & { readonly day?: number }

/** Reads records of `circadian eval` or `learn`, gzipped JSON lines. */
export async function readAnswers(file: string): Promise<readonly KeptRecord[]> {
  const text = gunzipSync(await readFile(file)).toString()
  return text
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as KeptRecord)
}

/**
 * Joins the samples of questions and their drafts, which were kept apart. @throws Error naming a question without a judged draft
 */
export function joinAnswers(
  sampled: readonly KeptRecord[],
  drafted: readonly KeptRecord[],
): readonly KeptQuestion[] {
  const ofKind = ({ candidates = [] }: KeptRecord, kind: 'draft' | 'sample') =>
    candidates.filter((candidate) => candidate.kind === kind)
  const drafts = new Map(drafted.map((record) => [record.problem, ofKind(record, 'draft')[0]]))
  return sampled.flatMap((record) => {
    const samples = ofKind(record, 'sample')
    if (samples.length === 0) return []
    const draft = drafts.get(record.problem)
    if (draft === undefined)
      throw new Error(`answers: expected a judged draft of ${record.problem}, got none`)
    return [{ problem: record.problem, day: record.day ?? 0, draft, samples }]
  })
}

/** An example of a night, with what the weighting by hand says of it. */
export interface KeptExample extends JudgeExample {
  readonly byHand: { readonly reward: number; readonly probability: number }
}

/**
 * What is known of one of several candidates, which may agree with each other. Estimates of a reward model are left out: the nights
 * had none.
 */
export function knownOf(
  { answer, reward, rewardTerms, logProbability, selfCertainty, tokens }: JudgedSample,
  candidates: readonly JudgedSample[],
): JudgedAnswer {
  const alike = candidates.filter((other) => other.answer === answer).length
  return {
    reward,
    terms: rewardTerms,
    logProbability: logProbability ?? null,
    selfCertainty: selfCertainty ?? null,
    confidence: null,
    agreement: agreementOf(answer, { answers: candidates.length, alike }),
    tokens,
  }
}

/** Returns the answers of a question, labelled by its reference. The draft was judged before there were samples. */
export function examplesOf(
  { problem, draft, samples }: KeptQuestion,
  part: JudgeExample['part'],
): readonly KeptExample[] {
  return [draft, ...samples].map((candidate): KeptExample => {
    const { answer, right, reward, rewardTerms } = candidate
    const verifier = rewardTerms['verifier'] ?? null
    const isSample = candidate.kind === 'sample'
    return {
      answer: {
        question: problem,
        cluster: problem,
        tenantId: 'default',
        episodeId: problem,
        answer,
        verifier,
        correct: right,
        byMajority: false,
      },
      known: knownOf(candidate, isSample ? [draft, ...samples] : [draft]),
      part,
      weight: 1,
      source: 'reference',
      kind: isSample ? 'sample' : 'draft',
      strategy: 'best-of-n',
      byHand: { reward, probability: 1 + (rewardTerms['verifier.correctness'] ?? verifier ?? reward) },
    }
  })
}
