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
import { rememberedQuestion } from '../prompt.ts'
import type { Settings } from '../settings.ts'
import type { RefutedAnswers, SolveState } from '../solve-state.ts'
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
   * Returns the answers that callers called wrong when the same question came before, by key, each with the id of its episode:
   * chosen only where no other answer is found. None where `retrieve` returns none, and for `greedy`, which does not choose.
   */
  refuted(): Promise<RefutedAnswers>
  /**
   * Returns the most similar neighbour with a near-identical question whose answer a caller has called right, if that is another
   * answer and no caller has called it wrong since; null without one. Answers under other rules do not compare.
   */
  contradicting(answer: string | null): Promise<WeighedNeighbour | null>
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

/** Embeds the question, where anything needs its embedding, and begins to ask the store while the first answer is decoded. */
export async function openMemory(deps: MemoryDeps): Promise<Memory> {
  const { settings, weaver } = deps
  const embedding = await embedQuery(deps)
  const recollection = recollect(deps, embedding)
  return {
    embedding,
    mayLead: embedding !== null && (settings.retrieval !== null || weaver.version !== null),
    retrieve: async () => announce(deps, (await recollection).neighbours),
    refuted: async () => (await recollection).refuted,
    contradicting: async (answer) => contradicting(deps, await recollection, answer),
    warmStart: (options) => createWarmStart(deps, embedding, options),
    latentsToKeep: (draft, best, isDraft) => latentsToKeep(deps, draft, best, isDraft),
  }
}

async function embedQuery(deps: MemoryDeps): Promise<Float32Array | null> {
  const { request, engine, episodes, session, question, weaver, state } = deps
  const isKept = episodes !== null && request.learn
  const isWoven = request.strategy === 'auto' && weaver.version !== null
  if (!isKept && !recollects(deps) && !isWoven) return null
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

/** Whether the request asks the store what it knows of the question: `greedy` has nothing to choose. */
function recollects({ request, settings, episodes }: MemoryDeps): boolean {
  return episodes !== null && settings.retrieval !== null && request.strategy !== 'greedy'
}

function announce(
  { state, emit }: MemoryDeps,
  neighbours: readonly WeighedNeighbour[],
): readonly WeighedNeighbour[] {
  state.retrieved = neighbours.map(({ neighbour, weight }) => ({
    episodeId: neighbour.episodeId,
    similarity: neighbour.similarity,
    weight,
  }))
  emit({ event: 'retrieval', data: { retrieved: state.retrieved } })
  return neighbours
}

interface Recollected {
  readonly neighbours: readonly WeighedNeighbour[]
  readonly refuted: RefutedAnswers
}

const NOTHING: Recollected = { neighbours: [], refuted: new Map() }

/** Never rejects. Only `auto` is led by neighbours. */
async function recollect(deps: MemoryDeps, embedding: Float32Array | null): Promise<Recollected> {
  const { request, settings, engine, episodes, storeTimeouts, storeOutages, state, signal, logger } = deps
  const { retrieval } = settings
  if (!recollects(deps) || retrieval === null || episodes === null || embedding === null) return NOTHING
  const query = {
    tenantId: request.tenantId,
    fingerprint: engine.model.fingerprint,
    embedding,
    topK: request.strategy === 'auto' ? retrieval.topK : 0,
    minSimilarity: retrieval.minSimilarity,
    question: rememberedQuestion(request),
    answerRules: engine.model.answerRules,
  }
  try {
    const deadline = timeoutSignal(storeTimeouts.retrievalMs)
    // The time budget holds even when the database does not answer.
    const found = await state.meter.time('retrieveMs', async (span) => {
      const recollection = await unlessAborted(signal, () => episodes.recollect(query, deadline))
      span.set(retrievedAttribute(recollection?.neighbours.length ?? 0))
      return recollection
    })
    if (found === null) return NOTHING
    return {
      neighbours: weighNeighbours(found.neighbours, retrieval),
      refuted: new Map(found.refuted.map(({ answer, episodeId }) => [answer, episodeId])),
    }
  } catch (error) {
    storeOutages.warn(logger, error, 'episode store unavailable: solving without retrieval')
    state.degraded.add('retrieval')
    return NOTHING
  }
}

/** Similarity from which questions are near-duplicates: that of the clusters of nights. */
const NEAR_DUPLICATE = 0.999

function contradicting(
  { engine }: MemoryDeps,
  { neighbours, refuted }: Recollected,
  answer: string | null,
): WeighedNeighbour | null {
  const nearest = neighbours.find(
    ({ neighbour: { similarity, confirmed } }) =>
      similarity >= NEAR_DUPLICATE &&
      confirmed?.answerRules === engine.model.answerRules &&
      !refuted.has(confirmed.answer),
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
