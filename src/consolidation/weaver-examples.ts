/** @file What a weaver is trained on: the admitted episodes of a snapshot, none of them counting too much. */

import { setImmediate as yieldToEventLoop } from 'node:timers/promises'
import type { WeaverExample } from '#algorithms'
import type { EpisodeKey } from '#artifacts'
import { isTrustedLabel, type StoredLatents, type TrainingStore } from '#episodes'

/** Latents in memory at most, in bytes; the training process holds them once more. */
const MAX_BYTES = 2 ** 30
/** Of a cluster of near-duplicates, the newest so many are trained on. */
const MAX_CLUSTER_EPISODES = 4
/** Squared distance of unit vectors whose cosine is .999. */
const NEAR_DUPLICATE_DISTANCE_SQ = 0.002
/** Examples looked at in one go: the service may live in the same process. */
const YIELD_EVERY = 64

export interface WeaverExamples {
  readonly examples: readonly WeaverExample[]
  /** The episode of each. */
  readonly episodes: readonly EpisodeKey[]
  /** Left out, by reason. */
  readonly rejected: {
    readonly calledWrong: number
    readonly nearDuplicate: number
    readonly overMemory: number
  }
}

/**
 * Reads the latents of episodes, newest first, as many as fit into memory. Left out are answers that somebody called wrong, by
 * feedback or reference, and what would let one question fill the training set: of episodes with the same question, or with
 * embeddings of a cosine of .999 or more to the newest of their cluster, the newest four are kept, whoever asked.
 */
export async function readWeaverExamples(
  training: Pick<TrainingStore, 'latentPairs'>,
  fingerprint: string,
  episodes: readonly EpisodeKey[],
  { maxBytes = MAX_BYTES, signal }: { readonly maxBytes?: number; readonly signal: AbortSignal },
): Promise<WeaverExamples> {
  const examples: WeaverExample[] = []
  const kept: EpisodeKey[] = []
  const rejected = { calledWrong: 0, nearDuplicate: 0, overMemory: 0 }
  const clusters = createClusters()
  let bytes = 0
  let seen = 0
  for await (const stored of training.latentPairs(fingerprint, episodes)) {
    signal.throwIfAborted()
    if (++seen % YIELD_EVERY === 0) await yieldToEventLoop()
    const { tenantId, episodeId, question, embedding, zBase, zStar } = stored
    const size = embedding.byteLength + zBase.data.byteLength + zStar.data.byteLength
    if (isCalledWrong(stored)) rejected.calledWrong += 1
    else if (clusters.join(question, embedding) > MAX_CLUSTER_EPISODES) rejected.nearDuplicate += 1
    else if (bytes + size > maxBytes) rejected.overMemory += 1
    else {
      bytes += size
      examples.push({ question, embedding, zBase, zStar })
      kept.push({ tenantId, episodeId })
    }
  }
  return { examples, episodes: kept, rejected }
}

/** The model's own opinion of itself is no such word: admission has asked for it already. */
function isCalledWrong({ label, labelSource }: StoredLatents): boolean {
  return label === false && isTrustedLabel(labelSource)
}

interface Cluster {
  /** The newest of its members. */
  readonly embedding: Float32Array
  members: number
}

function createClusters() {
  const clusters: Cluster[] = []
  const byQuestion = new Map<string, Cluster>()
  return {
    /** @returns how many its cluster has by now */
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

/** Stops at the first coordinates that tell: strangers cost next to nothing. */
function isNear(a: Float32Array, b: Float32Array): boolean {
  let distance = 0
  for (let i = 0; i < a.length && distance <= NEAR_DUPLICATE_DISTANCE_SQ; i++) {
    distance += ((a[i] ?? Number.NaN) - (b[i] ?? Number.NaN)) ** 2
  }
  return distance <= NEAR_DUPLICATE_DISTANCE_SQ
}
