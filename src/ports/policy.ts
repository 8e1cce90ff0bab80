/** @file The measured policy of `auto`: by how confident the draft is, what to do next. */

/** What is done after a draft. */
export interface PolicyArm {
  /** `greedy` returns the draft, `latentseek` searches from it with memory. */
  readonly strategy: 'greedy' | 'majority' | 'best-of-n' | 'fork' | 'latentseek'
  readonly samples?: number
  /** Selector of `best-of-n`. */
  readonly selector?: 'judge' | 'verifier' | 'log-probability' | 'self-certainty' | 'lrm'
}

/** An arm for the drafts whose P(correct) is at least `from`, and below the `from` of the next band. */
export interface PolicyBand extends PolicyArm {
  readonly from: number
  /** Figures of the measurement, for readers: questions, accuracy of their drafts and with the arm, mean tokens with those of the draft. */
  readonly questions?: number
  readonly draftAccuracy?: number
  readonly accuracy?: number
  readonly tokens?: number
}

export type PolicyEffort = 'minimal' | 'low' | 'medium' | 'high'

/** Bands of each effort in ascending order, the first from 0; an effort without bands has no policy. */
export interface Policy extends Readonly<Partial<Record<PolicyEffort, PolicyBand[]>>> {
  /** P(correct) that the bands are about: that of the verifier, or that of the fused judge. */
  readonly signal: 'verifier' | 'judge'
}
