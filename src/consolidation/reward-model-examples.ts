/** @file Training examples of the latent reward model: the labelled answers of a snapshot. */

import type { LabelledThought } from '#algorithms'
import type { EpisodeKey } from '#artifacts'
import type { LabelSource, StoredThought, TrainingStore } from '#episodes'
import type { HeldOutAnswer } from './artifact-training.ts'
import { nameOf, type SplitLookup } from './split-night.ts'

/**
 * Weight of a label in training, in the order in which `labelCandidates` trusts the sources: feedback and
 * reference, then the majority of the samples, then the model's own judgement. The weight of a majority is also
 * multiplied by the share of the samples that agree. A thought that stands for deleted ones has their weight too,
 * so that the share of right answers stays, and with it the calibration.
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
  /** What the gate compares an example's score with. */
  readonly judged: readonly Pick<StoredThought, 'answer' | 'verifier'>[]
  /** Episodes of the examples to train and to calibrate on, each once. */
  readonly episodes: readonly EpisodeKey[]
  /** Number of episodes that were read. */
  readonly read: number
  /** Number of answers that no part takes. */
  readonly unused: number
}

interface ReadOptions {
  /** Gives each example its part; without it all are `heldOut`, each question a cluster of its own. */
  readonly split?: SplitLookup
  readonly maxBytes?: number
  readonly signal: AbortSignal
}

/** Reads the labelled answers of episodes, in the order of the episodes, as many as fit into memory. */
export async function readRewardModelExamples(
  training: Pick<TrainingStore, 'labelledThoughts'>,
  fingerprint: string,
  episodes: readonly EpisodeKey[],
  { split, maxBytes = MAX_BYTES, signal }: ReadOptions,
): Promise<RewardModelExamples> {
  const examples: LabelledThought[] = []
  const places: HeldOutAnswer[] = []
  const judged: Pick<StoredThought, 'answer' | 'verifier'>[] = []
  const learned = new Map<string, EpisodeKey>()
  const read = new Set<string>()
  let bytes = 0
  let unused = 0
  for await (const stored of training.labelledThoughts(fingerprint, episodes)) {
    signal.throwIfAborted()
    const { tenantId, episodeId, position, question } = stored
    const key = { tenantId, episodeId }
    const { part, cluster } = split?.placeOf(key, question) ?? { part: 'heldOut', cluster: question }
    read.add(nameOf(key))
    if (part === 'unused') {
      unused += 1
      continue
    }
    bytes += stored.thought.data.byteLength
    if (bytes > maxBytes) break
    examples.push(toExample(stored, { part, cluster }))
    places.push({ ...key, position, cluster })
    judged.push({ answer: stored.answer, verifier: stored.verifier })
    if (part === 'train' || part === 'calibration') learned.set(nameOf(key), key)
  }
  return { examples, places, judged, episodes: [...learned.values()], read: read.size, unused }
}

function toExample(
  { question, thought, label, labelSource, labelWeight, standsFor }: StoredThought,
  place: Pick<LabelledThought, 'part' | 'cluster'>,
): LabelledThought {
  return {
    question,
    ...place,
    thought,
    correct: label,
    weight: WEIGHT[labelSource] * labelWeight * standsFor,
    source: labelSource,
  }
}
