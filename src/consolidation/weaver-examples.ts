/** @file Training examples of the weaver: the admitted episodes of a snapshot, few of each near-duplicate. */

import { createYielding, type WeaverExample } from '#algorithms'
import type { EpisodeKey } from '#artifacts'
import { isTrustedLabel, type StoredLatents, type TrainingStore } from '#episodes'
import type { Latents, PackedRows } from '#ports'
import { isNear } from './cluster-questions.ts'
import type { SplitLookup } from './split-night.ts'

/** Shape and place of an example. */
export interface DescribedPair extends Pick<WeaverExample, 'cluster' | 'part'> {
  readonly zBase: Pick<Latents, 'length' | 'width'>
}

/** Upper bound, in bytes of fp32, on the latents in the memory of the training process. */
const MAX_BYTES = 2 ** 30
/** Upper bound on the episodes of one cluster of near-duplicates; the newest are kept. */
const MAX_CLUSTER_EPISODES = 4

/** One episode. Its latents stay as they were stored: numbers are read in the training process alone. */
export interface PackedPair extends Omit<WeaverExample, 'zBase' | 'zStar'> {
  readonly zBase: PackedRows
  readonly zStar: PackedRows
}

export interface WeaverExamples {
  /** Shape and place of each example. */
  readonly examples: readonly DescribedPair[]
  /** Episode of each example. */
  readonly episodes: readonly EpisodeKey[]
  /** Numbers of episodes that were left out, by reason. */
  readonly rejected: {
    readonly calledWrong: number
    readonly nearDuplicate: number
    readonly overMemory: number
    readonly unused: number
  }
}

/**
 * Reads the latents of episodes, newest first, as many as fit into memory, and hands each to `take` before it
 * reads on. Leaves out answers that feedback
 * or a reference labels wrong. Keeps only the newest four episodes of a cluster, over all tenants, so that
 * one question cannot fill the training set. A cluster: episodes with the same question, or whose embedding
 * has a cosine of .999 or more to that of the newest episode of the cluster.
 */
export async function readWeaverExamples(
  training: Pick<TrainingStore, 'latentPairs'>,
  fingerprint: string,
  episodes: readonly EpisodeKey[],
  {
    split,
    maxBytes = MAX_BYTES,
    signal,
  }: { readonly split: SplitLookup; readonly maxBytes?: number; readonly signal: AbortSignal },
  take: (example: PackedPair, bytes: number) => Promise<void>,
): Promise<WeaverExamples> {
  const examples: DescribedPair[] = []
  const kept: EpisodeKey[] = []
  const rejected = { calledWrong: 0, nearDuplicate: 0, overMemory: 0, unused: 0 }
  const clusters = createClusters()
  let bytes = 0
  const pause = createYielding(signal)
  for await (const stored of training.latentPairs(fingerprint, episodes)) {
    signal.throwIfAborted()
    await pause()
    const { tenantId, episodeId, question, embedding, zBase, zStar } = stored
    const packed = zBase.bytes.length + zStar.bytes.length
    const { part, cluster } = split.placeOf(stored, question)
    if (part === 'unused') rejected.unused += 1
    else if (isCalledWrong(stored)) rejected.calledWrong += 1
    else if (clusters.join(question, embedding) > MAX_CLUSTER_EPISODES) rejected.nearDuplicate += 1
    else if (bytes + embedding.byteLength + 2 * packed > maxBytes) rejected.overMemory += 1
    else {
      bytes += embedding.byteLength + 2 * packed
      examples.push({ cluster, part, zBase: { width: zBase.width, length: zBase.rows } })
      await take({ question, cluster, part, embedding, zBase, zStar }, embedding.byteLength + packed)
      kept.push({ tenantId, episodeId })
    }
  }
  return { examples, episodes: kept, rejected }
}

/** Ignores labels that the model gave itself: admission has already used its own judgement. */
function isCalledWrong({ label, labelSource }: StoredLatents): boolean {
  return label === false && isTrustedLabel(labelSource)
}

interface Cluster {
  /** Embedding of the newest member. */
  readonly embedding: Float32Array
  members: number
}

function createClusters() {
  const clusters: Cluster[] = []
  const byQuestion = new Map<string, Cluster>()
  return {
    /** Adds an episode to its cluster. @returns the number of members, the episode included */
    join(question: string, embedding: Float32Array): number {
      let own = byQuestion.get(question)
      own ??= clusters.find((cluster) => isNear(cluster.embedding, embedding))
      if (own === undefined) {
        own = { embedding, members: 0 }
        clusters.push(own)
      }
      byQuestion.set(question, own)
      own.members += 1
      return own.members
    },
  }
}
