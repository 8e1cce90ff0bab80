/** @file Training examples of the latent reward model: the labelled answers of a snapshot. */

import type { DescribedThought } from '#algorithms'
import type { EpisodeKey } from '#artifacts'
import type { LabelSource, StoredThought, TrainingStore } from '#episodes'
import type { PackedRows } from '#ports'
import type { HeldOutAnswer } from './artifact-training.ts'
import { nameOf, type SplitLookup } from './split-night.ts'

/**
 * Weight of a label in training, in the order in which `labelCandidates` trusts the sources: feedback and
 * reference, then the majority of the samples, then the model's own judgement. The weight of a majority is also
 * multiplied by the share of the samples that agree. A thought that stands for deleted ones has their weight too,
 * so that the share of right answers stays, and with it the calibration.
 */
export const LABEL_WEIGHT = {
  feedback: 1,
  reference: 1,
  majority: 0.5,
  self: 0.25,
} as const satisfies Record<LabelSource, number>

/** Upper bound, in bytes of fp32, on the thoughts in the memory of the training process. */
const MAX_BYTES = 2 ** 30

/** One labelled answer. Its thought stays as it was stored: numbers are read in the training process alone. */
export interface RewardModelExample {
  readonly described: DescribedThought
  readonly packed: PackedRows
  /** States of its last token; null where they were not stored. */
  readonly last: PackedRows | null
  /** Tokens of the answer. */
  readonly tokens: readonly number[]
  /** Place of the answer: its episode and its position there. */
  readonly place: HeldOutAnswer
  /** Answer and verifier reward that the gate compares a score with. */
  readonly judged: Pick<StoredThought, 'answer' | 'verifier'>
}

export interface ReadAnswers {
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

/**
 * Reads the labelled answers of episodes, in the order of the episodes, as many as fit into memory, and hands
 * each to `take` before it reads on.
 */
export async function readRewardModelExamples(
  training: Pick<TrainingStore, 'labelledThoughts'>,
  fingerprint: string,
  episodes: readonly EpisodeKey[],
  { split, maxBytes = MAX_BYTES, signal }: ReadOptions,
  take: (example: RewardModelExample) => Promise<void>,
): Promise<ReadAnswers> {
  const learned = new Map<string, EpisodeKey>()
  const read = new Set<string>()
  let bytes = 0
  let unused = 0
  for await (const stored of training.labelledThoughts(fingerprint, episodes)) {
    signal.throwIfAborted()
    const { tenantId, episodeId, position, question, thought, last, tokens, answer, verifier } = stored
    const key = { tenantId, episodeId }
    const { part, cluster } = split?.placeOf(key, question) ?? { part: 'heldOut', cluster: question }
    read.add(nameOf(key))
    if (part === 'unused') {
      unused += 1
      continue
    }
    bytes += 2 * (thought.bytes.length + (last?.bytes.length ?? 0))
    if (bytes > maxBytes) break
    await take({
      described: {
        question,
        cluster,
        part,
        thought: { layers: thought.rows, width: thought.width },
        correct: stored.label,
        weight: LABEL_WEIGHT[stored.labelSource] * stored.labelWeight * stored.standsFor,
        source: stored.labelSource,
      },
      packed: thought,
      last,
      tokens,
      place: { ...key, position, cluster },
      judged: { answer, verifier },
    })
    if (part === 'train' || part === 'calibration') learned.set(nameOf(key), key)
  }
  return { episodes: [...learned.values()], read: read.size, unused }
}
