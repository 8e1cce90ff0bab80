/**
 * @file The episodic memory of one request: its query, the neighbours, and the latents that an episode keeps (LatentEvolve, arXiv
 * 2509.24771, section 4.1). Memory never fails a request.
 */

import {
  isAdmitted,
  queryEmbedding,
  type SearchPoint,
  takeLatents,
  type WeighedNeighbour,
  weighNeighbours,
  widenMargin,
} from '#algorithms'
import type { Engine } from '#engine'
import type { EpisodeStore, LatentPair } from '#episodes'
import { hasCode } from '#errors'
import type { LatentSession, Latents, TokenSpan, Weaver } from '#ports'
import { retrievedAttribute } from '#tracing'
import type { SolveEvent, SolveRequest, SolverLogger, StoreTimeouts } from '../contract.ts'
import type { Settings } from '../settings.ts'
import type { SolveState } from '../solve-state.ts'
import { unlessAborted } from '../unless-aborted.ts'
import { type StoreOutages, timeoutSignal } from './store-outages.ts'
import { createWarmStart, type WarmStart, type WarmStartOptions } from './warm-start.ts'

export interface Memory {
  /** `[D]`, centred and normalised; null when no episode, retrieval or weaver needs it. */
  readonly embedding: Float32Array | null
  /** True when weaver or neighbours may move the start of the search. */
  readonly mayLead: boolean
  /**
   * Returns the weighed neighbours, most similar first, and emits `retrieval`. Returns none when retrieval is off, or when the
   * store fails (`degraded: retrieval`).
   */
  retrieve(): Promise<readonly WeighedNeighbour[]>
  /**
   * Returns the most similar neighbour with a near-identical question whose answer a caller has called right, if that is another
   * answer; null without one. Answers under other rules do not compare.
   */
  contradicting(neighbours: readonly WeighedNeighbour[], answer: string | null): WeighedNeighbour | null
  /** Prepares the start that weaver and neighbours propose. */
  warmStart(options: WarmStartOptions): WarmStart
  /**
   * Returns the latents that the episode keeps of a search: at most `settings.latents` positions of z_base and z*. z* of a
   * changed answer decodes to it as the store rounds it. A good draft is kept too (z* = z_base): it teaches when to do nothing,
   * and its shift is zero however it is rounded.
   *
   * @param draft the draft's latents
   * @param isDraft whether `best` is the draft itself
   * @returns null when no episode is kept, the answer is not admitted, or no z* within the bound decodes to it.
   */
  latentsToKeep(draft: Latents, best: SearchPoint, isDraft: boolean): Promise<LatentPair | null>
}

export interface MemoryDeps {
  readonly engine: Engine
  readonly session: LatentSession
  /** Returns the place of the question in the prompt. */
  readonly question: () => TokenSpan
  /** null: nothing is retrieved and nothing is kept. */
  readonly episodes: EpisodeStore | null
  readonly storeTimeouts: StoreTimeouts
  readonly storeOutages: StoreOutages
  readonly request: SolveRequest
  readonly settings: Settings
  readonly weaver: Weaver
  readonly signal: AbortSignal
  readonly logger: SolverLogger
  readonly emit: (event: SolveEvent) => void
  readonly state: SolveState
}

/** Embeds the question, where anything needs its embedding. */
export async function openMemory(deps: MemoryDeps): Promise<Memory> {
  const { settings, weaver } = deps
  const embedding = await embedQuery(deps)
  return {
    embedding,
    mayLead: embedding !== null && (settings.retrieval !== null || weaver.version !== null),
    retrieve: () => retrieve(deps, embedding),
    contradicting: (neighbours, answer) => contradicting(deps, neighbours, answer),
    warmStart: (options) => createWarmStart(deps, embedding, options),
    latentsToKeep: (draft, best, isDraft) => latentsToKeep(deps, draft, best, isDraft),
  }
}

async function embedQuery({
  request,
  settings,
  engine,
  episodes,
  session,
  question,
  weaver,
  state,
}: MemoryDeps): Promise<Float32Array | null> {
  const isAuto = request.strategy === 'auto'
  const isKept = episodes !== null && request.learn
  const retrieves = episodes !== null && isAuto && settings.retrieval !== null
  const isWoven = isAuto && weaver.version !== null
  if (!isKept && !retrieves && !isWoven) return null
  return state.meter.time('draftMs', () => embedQuestion(engine, session, question), 'embed')
}

/** Returns the embedding of the question of a session, `[D]`, centred and normalised, by the rules of the model profile. */
export async function embedQuestion(
  { model: { profile, embeddingMean } }: Pick<Engine, 'model'>,
  session: LatentSession,
  question: () => TokenSpan,
): Promise<Float32Array> {
  const { layer } = profile.embedding
  const vector = layer === undefined ? await session.embed() : await pooledState(session, question(), layer)
  return queryEmbedding(vector, embeddingMean)
}

/** Returns the states of a layer, averaged over the tokens of the question, `[D]`. */
async function pooledState(
  session: LatentSession,
  question: TokenSpan,
  layer: number,
): Promise<Float32Array> {
  const { data, width } = await session.pool(question)
  return data.slice(layer * width, (layer + 1) * width)
}

async function retrieve(
  deps: MemoryDeps,
  embedding: Float32Array | null,
): Promise<readonly WeighedNeighbour[]> {
  const neighbours = await nearestEpisodes(deps, embedding)
  deps.state.retrieved = neighbours.map(({ neighbour, weight }) => ({
    episodeId: neighbour.episodeId,
    similarity: neighbour.similarity,
    weight,
  }))
  deps.emit({ event: 'retrieval', data: { retrieved: deps.state.retrieved } })
  return neighbours
}

async function nearestEpisodes(
  { request, settings, engine, episodes, storeTimeouts, storeOutages, state, signal, logger }: MemoryDeps,
  embedding: Float32Array | null,
): Promise<readonly WeighedNeighbour[]> {
  const { retrieval } = settings
  if (retrieval === null || episodes === null || embedding === null) return []
  const query = {
    tenantId: request.tenantId,
    fingerprint: engine.model.fingerprint,
    embedding,
    topK: retrieval.topK,
    minSimilarity: retrieval.minSimilarity,
  }
  try {
    const deadline = timeoutSignal(storeTimeouts.retrievalMs)
    // The time budget holds even when the database does not answer.
    const found = await state.meter.time('retrieveMs', async (span) => {
      const nearest = await unlessAborted(signal, () => episodes.nearest(query, deadline))
      span.set(retrievedAttribute(nearest?.length ?? 0))
      return nearest
    })
    return weighNeighbours(found ?? [], retrieval)
  } catch (error) {
    storeOutages.warn(logger, error, 'episode store unavailable: solving without retrieval')
    state.degraded.add('retrieval')
    return []
  }
}

/** Similarity from which questions are near-duplicates: that of the clusters of nights. */
const NEAR_DUPLICATE = 0.999

function contradicting(
  { engine }: MemoryDeps,
  neighbours: readonly WeighedNeighbour[],
  answer: string | null,
): WeighedNeighbour | null {
  const nearest = neighbours.find(
    ({ neighbour: { similarity, confirmed } }) =>
      similarity >= NEAR_DUPLICATE && confirmed?.answerRules === engine.model.answerRules,
  )
  return nearest === undefined || nearest.neighbour.confirmed?.answer === answer ? null : nearest
}

async function latentsToKeep(
  { request, settings, engine, signal }: MemoryDeps,
  draft: Latents,
  best: SearchPoint,
  isDraft: boolean,
): Promise<LatentPair | null> {
  if (!request.learn || !isAdmitted(best.evaluation.judgement, settings.admitReward)) return null
  if (isDraft) {
    const kept = takeLatents(draft, settings.latents)
    return { zBase: kept, zStar: kept }
  }
  const prefix = best.prefix.slice(0, settings.latents)
  const { lr, beta1, marginSteps } = settings
  // Latents that memory alone set are kept as they are: widening them every time would let the shift grow without end.
  const options = { lr, beta1, temperature: 1, steps: marginSteps, lookFirst: best.step === 0 }
  try {
    const zStar = await widenMargin(engine.head, best.latents, prefix, options, signal)
    return zStar && { zBase: takeLatents(draft, zStar.length), zStar }
  } catch (error) {
    // The answer is complete and in time; only the latents of its episode are lost.
    if (hasCode(error, 'ABORTED')) return null
    throw error
  }
}
