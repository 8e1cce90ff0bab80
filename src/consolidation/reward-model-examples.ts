/** @file Labelled answers as nights read them from the memory, as a latent reward model is trained on them. */

import type { LabelledThought } from '#algorithms'
import type { EpisodeKey } from '#artifacts'
import { isTrustedLabel, type LabelSource, type StoredThought, type TrainingStore } from '#episodes'
import type { HeldOutAnswer } from './artifact-training.ts'

/**
 * What a label weighs in training, in the order in which `labelCandidates` trusts them: somebody's word, then what most
 * samples agree on, then the model's own opinion.
 */
const WEIGHT = { feedback: 1, reference: 1, majority: 0.5, self: 0.25 } as const satisfies Record<
  LabelSource,
  number
>

/** Thoughts in memory at most, in bytes; the training process holds them once more. */
const MAX_BYTES = 2 ** 30

export interface RewardModelExamples {
  readonly examples: readonly LabelledThought[]
  /** Where each of them was read. */
  readonly places: readonly HeldOutAnswer[]
  /** The episodes they belong to. */
  readonly episodes: readonly EpisodeKey[]
}

/** Reads the labelled answers of episodes, in their order, as many as fit into memory. */
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
