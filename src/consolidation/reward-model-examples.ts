/** @file Training examples of the latent reward model: the labelled answers of a snapshot. */

import type { LabelledThought } from '#algorithms'
import type { EpisodeKey } from '#artifacts'
import { isTrustedLabel, type LabelSource, type StoredThought, type TrainingStore } from '#episodes'
import type { HeldOutAnswer } from './artifact-training.ts'

/**
 * Weight of a label in training, in the order in which `labelCandidates` trusts the sources: feedback and
 * reference, then the majority of the samples, then the model's own judgement.
 */
const WEIGHT = { feedback: 1, reference: 1, majority: 0.5, self: 0.25 } as const satisfies Record<
  LabelSource,
  number
>

/** Upper bound, in bytes, on the thoughts in memory; the training process holds a second copy. */
const MAX_BYTES = 2 ** 30

export interface RewardModelExamples {
  readonly examples: readonly LabelledThought[]
  /** Place of each example: its episode and its position there. */
  readonly places: readonly HeldOutAnswer[]
  /** Episodes of the examples, each once. */
  readonly episodes: readonly EpisodeKey[]
}

/** Reads the labelled answers of episodes, in the order of the episodes, as many as fit into memory. */
export async function readRewardModelExamples(
  training: Pick<TrainingStore, 'labelledThoughts'>,
  fingerprint: string,
  episodes: readonly EpisodeKey[],
  { maxBytes = MAX_BYTES, signal }: { readonly maxBytes?: number; readonly signal: AbortSignal },
): Promise<RewardModelExamples> {
  const examples: LabelledThought[] = []
  const places: HeldOutAnswer[] = []
  const used = new Map<string, EpisodeKey>()
  let bytes = 0
  for await (const stored of training.labelledThoughts(fingerprint, episodes)) {
    signal.throwIfAborted()
    bytes += stored.thought.data.byteLength
    if (bytes > maxBytes) break
    const { tenantId, episodeId, position } = stored
    examples.push(toExample(stored))
    places.push({ tenantId, episodeId, position })
    used.set(`${tenantId} ${episodeId}`, { tenantId, episodeId })
  }
  return { examples, places, episodes: [...used.values()] }
}

function toExample({ question, thought, label, labelSource }: StoredThought): LabelledThought {
  return {
    question,
    thought,
    correct: label,
    weight: WEIGHT[labelSource],
    trusted: isTrustedLabel(labelSource),
  }
}
