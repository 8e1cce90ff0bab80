/** @file The step `evidence`: samples answers to questions that requests asked, so that their labels can be derived. */

import { createHash } from 'node:crypto'
import type { Engine } from '#engine'
import { type AnsweredQuestion, type EpisodeStore, tenantCaps, type UncertainQuestion } from '#episodes'
import { coerceError, hasCode } from '#errors'
import { createSolver } from '#solving'
import { foldQuestion } from './cluster-questions.ts'
import type { ConsolidationContext, EvidenceLimits } from './context.ts'
import { inBackground, openModelEngine } from './open-replay-engine.ts'
import { expectLearning } from './record-steps.ts'
import { MAX_TENANT_SHARE } from './take-snapshot.ts'

/** Number of answers sampled to one question. */
const SAMPLES = 8
/** Number of questions solved at once. */
const CONCURRENCY = 4

/** Upper bound on the share of the questions whose answer a caller has told. */
const MAX_ANSWERED_SHARE = 0.5

/** A question to sample answers to; `episodeId` where a caller has told the answer. */
type ChosenQuestion = UncertainQuestion & Partial<Pick<AnsweredQuestion, 'episodeId'>>
/** The answer that a caller has told is its reference. */
type OpenQuestion = UncertainQuestion & { readonly reference?: string }

/** Record of the step `evidence`. */
export interface Evidence {
  /** Number of questions chosen. */
  readonly questions: number
  /** Number of them with a stored episode of samples. */
  readonly sampled: number
  /** Number of them that could not be solved or stored. */
  readonly failed: number
  readonly generatedTokens: number
  /** Why questions were left, in words; null when all were tried. */
  readonly stopped: string | null
}

/**
 * Samples answers to questions, and stores them, with the greedy draft beside them, as episodes of `majority` with origin
 * `night`. Up to half of the questions are such whose right answer a caller has told by feedback or a reference, drawn without
 * regard to the model's answers: their samples are labelled by it, so that they measure what `auto` should do after a draft
 * (`chooseJudgePolicy`). Feedback that changes later does not change these labels. The others are those asked since the
 * consolidation before without such an answer, the uncertain ones first: their samples are labelled by majority. The id of such an episode is derived from consolidation
 * and question, so another attempt continues with the questions that have none. The time limit is per attempt.
 * Without an engine of the model, or when the engine fails, the step ends and the consolidation continues. A freeze
 * of learning ends it too: no episode is stored from then on.
 *
 * @throws ServiceError STORE_UNAVAILABLE; the signal's reason when it has fired
 */
export async function gatherEvidence(
  context: ConsolidationContext,
  limits: EvidenceLimits,
): Promise<Evidence> {
  const { signal, logger } = context
  const questions = await chooseQuestions(context, limits.questions)
  const counts = { questions: questions.length, sampled: 0, failed: 0, generatedTokens: 0 }
  if (questions.length === 0) return { ...counts, stopped: null }
  const deadline = AbortSignal.timeout(limits.minutes * 60_000)
  let replaying: Awaited<ReturnType<typeof openEngine>> | null = null
  try {
    replaying = await openEngine(context)
    if ('missing' in replaying) return { ...counts, stopped: replaying.missing }
    const sample = samplingOn(replaying.engine, context, AbortSignal.any([signal, deadline]))
    const entries = (await withReferences(questions, replaying.engine, context)).values()
    let stopped: string | null = null
    const lane = async () => {
      for (const question of entries) {
        if (stopped !== null) return
        try {
          const tokens = await sample(question)
          counts.sampled += tokens === null ? 0 : 1
          counts.failed += tokens === null ? 1 : 0
          counts.generatedTokens += tokens ?? 0
        } catch (thrown) {
          signal.throwIfAborted()
          if (hasCode(thrown, 'STORE_UNAVAILABLE')) throw thrown
          if (hasCode(thrown, 'PROMPT_TOO_LONG') || hasCode(thrown, 'MEMORY_EXCEEDED')) counts.failed += 1
          else
            stopped ??= deadline.aborted
              ? `time limit of ${limits.minutes} min reached`
              : coerceError(thrown).message
        }
      }
    }
    const lanes = await Promise.allSettled(Array.from({ length: CONCURRENCY }, lane))
    for (const ended of lanes) if (ended.status === 'rejected') throw ended.reason
    return { ...counts, stopped }
  } catch (thrown) {
    signal.throwIfAborted()
    if (hasCode(thrown, 'STORE_UNAVAILABLE')) throw thrown
    const stopped = coerceError(thrown).message
    logger.warn({ reason: stopped }, 'evidence step failed: the consolidation continues without it')
    return { ...counts, stopped }
  } finally {
    if (replaying !== null && !('missing' in replaying)) await replaying.close()
  }
}

function openEngine({ openReplayEngine, consolidation: { fingerprint }, logger }: ConsolidationContext) {
  return openModelEngine(
    { openReplayEngine, fingerprint, logger },
    'this worker cannot sample answers: the consolidation continues without evidence',
  )
}

/**
 * Adds the answers that callers have told. Leaves out a question whose answer is not comparable with those of the engine, or
 * was refuted.
 */
async function withReferences(
  questions: readonly ChosenQuestion[],
  { model }: Pick<Engine, 'model'>,
  { training, consolidation: { fingerprint } }: ConsolidationContext,
): Promise<readonly OpenQuestion[]> {
  const told = questions.flatMap(({ tenantId, episodeId }) =>
    episodeId === undefined ? [] : [{ tenantId, episodeId }],
  )
  const found =
    told.length === 0
      ? []
      : await training.heldOutQuestions(fingerprint, told, { limit: told.length, rules: model })
  const nameOf = ({ tenantId, question }: UncertainQuestion) => `${tenantId} ${question}`
  const references = new Map(
    found
      .filter(({ referenceSource: source }) => source === 'feedback' || source === 'reference')
      .map((one) => [nameOf(one), one.reference]),
  )
  return questions.flatMap(({ episodeId, ...question }): OpenQuestion[] => {
    if (episodeId === undefined) return [question]
    const reference = references.get(nameOf(question)) ?? null
    return reference === null ? [] : [{ ...question, reference }]
  })
}

/** Each folded text once; no tenant fills more than its share while others have questions. */
async function chooseQuestions(
  { training, consolidations, consolidation: { id, fingerprint, createdAt } }: ConsolidationContext,
  limit: number,
): Promise<readonly ChosenQuestion[]> {
  const before = (await consolidations.list({ fingerprint, limit: 2 })).find((other) => other.id !== id)
  const since = before === undefined ? null : new Date(before.startedAt ?? before.createdAt)
  const answered = await training.answeredQuestions(fingerprint, {
    salt: id,
    before: new Date(createdAt),
    limit: Math.floor(limit * MAX_ANSWERED_SHARE),
  })
  const uncertain = await training.uncertainQuestions(fingerprint, { since, perTenant: limit })
  const byText = new Map<string, ChosenQuestion>()
  for (const one of [...answered, ...uncertain]) {
    const text = foldQuestion(one.question)
    if (!byText.has(text)) byText.set(text, one)
  }
  const numbers = new Map<string, number>()
  for (const { tenantId } of byText.values()) numbers.set(tenantId, (numbers.get(tenantId) ?? 0) + 1)
  const caps = tenantCaps([...numbers.values()], { limit, maxShare: MAX_TENANT_SHARE, minEach: 1 })
  const cap = Math.max(1, Math.min(caps.byShare, caps.byLimit))
  const taken = new Map<string, number>()
  const chosen = [...byText.values()].filter(({ tenantId }) => {
    const count = (taken.get(tenantId) ?? 0) + 1
    taken.set(tenantId, count)
    return count <= cap
  })
  return chosen.slice(0, limit)
}

/**
 * Returns a function that samples answers to a question and stores their episode. It returns the number of
 * generated tokens, 0 for a question that an earlier attempt sampled; null when no episode was stored.
 */
function samplingOn(
  engine: Parameters<typeof inBackground>[0],
  { episodes, learning, consolidation, logger }: ConsolidationContext,
  signal: AbortSignal,
): (question: OpenQuestion) => Promise<number | null> {
  const background = inBackground(engine)
  return async ({ tenantId, question, reference }) => {
    const { id, seed } = identityOf(consolidation.id, tenantId, question)
    signal.throwIfAborted()
    await expectLearning(learning)
    if (await isStored(episodes, tenantId, id)) return 0
    const solver = createSolver({
      engine: background,
      episodes: {
        ...episodes,
        async add(episode, timeout) {
          await expectLearning(learning)
          await episodes.add({ ...episode, id, origin: 'night' }, timeout)
        },
      },
      logger,
    })
    const { episodeId, usage } = await solver.solve(
      {
        tenantId,
        question,
        seed,
        strategy: 'majority',
        samples: SAMPLES,
        keepDraft: true,
        ...(reference !== undefined && { reference }),
        learn: true,
        explain: false,
        retrieval: false,
      },
      { signal },
    )
    // A failed commit degrades a solution; the samples are lost then.
    return episodeId === null ? null : usage.generatedTokens
  }
}

async function isStored(episodes: Pick<EpisodeStore, 'get'>, tenantId: string, id: string): Promise<boolean> {
  try {
    await episodes.get(tenantId, id)
    return true
  } catch (thrown) {
    if (!hasCode(thrown, 'EPISODE_NOT_FOUND')) throw thrown
    return false
  }
}

/** Id (in the form of a UUID) and seed of the episode of a question, the same in every attempt. */
function identityOf(consolidationId: string, tenantId: string, question: string) {
  const digest = createHash('sha256')
    .update(JSON.stringify([consolidationId, tenantId, question]))
    .digest()
  const hex = digest.toString('hex')
  const [first, second, third, fourth] = [
    hex.slice(0, 8),
    hex.slice(8, 12),
    hex.slice(13, 16),
    hex.slice(17, 20),
  ]
  return {
    id: `${first}-${second}-8${third}-8${fourth}-${hex.slice(20, 32)}`,
    seed: digest.readUInt32BE(28) >>> 1,
  }
}
