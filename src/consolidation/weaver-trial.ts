/** @file Trial of a weaver: replays held-out questions with it and with its rivals, until the gate has decided. */

import { isDeepStrictEqual } from 'node:util'
import {
  gateWeaver,
  identityWeaver,
  MAX_LOOKS,
  type SequentialVerdict,
  type TrialQuestion,
} from '#algorithms'
import type { HeldOutQuestion } from '#episodes'
import type { Weaver } from '#ports'
import type { ActiveModels } from '#serving'
import type { TrialOptions } from './artifact-training.ts'
import { type ReplayDeps, replay } from './replay.ts'

/** Number of questions between two looks of the gate. */
const LOOK_QUESTIONS = 50

interface WeaverTrialOptions extends ReplayDeps, Pick<TrialOptions, 'signal' | 'report' | 'recorded'> {
  readonly candidate: Weaver
  /** null: the identity, which is active before the first consolidation. */
  readonly incumbent: Weaver | null
  /** null: the incumbent is the anchor, or the anchor is damaged. */
  readonly anchor: Weaver | null
  /** The other trained models that serve: searches stop, and answers are chosen, by them. */
  readonly serving: Omit<ActiveModels, 'weaver'>
  /** Ids of the incumbent, of the anchor, and of the other models that serve. */
  readonly versions: readonly (string | null)[]
  readonly replacesStale: boolean
  readonly questions: readonly GateQuestion[]
}

interface GateQuestion extends HeldOutQuestion {
  readonly cluster: string
}

/** Figures of one replayed question, without its text. */
type ReplayedFigures = Omit<TrialQuestion, 'question' | 'cluster' | 'tenantId'>

/** Replays of the same questions with each model. */
interface Arms<Result> {
  readonly candidate: readonly Result[]
  readonly active: readonly Result[]
  /** Empty when the incumbent is the anchor. */
  readonly anchor: readonly Result[]
  readonly candidateGuard: readonly Result[]
  readonly activeGuard: readonly Result[]
}

const NO_REPLAYS: Arms<TrialQuestion> = {
  candidate: [],
  active: [],
  anchor: [],
  candidateGuard: [],
  activeGuard: [],
}

/**
 * Replays the questions 50 at a time, without retrieval and with it, and gates the results after each look,
 * until the gate has decided. The replays of a look are recorded.
 * @throws ServiceError with the codes of `replay`
 */
export async function runTrial(options: WeaverTrialOptions): Promise<SequentialVerdict> {
  const { questions, anchor, replacesStale } = options
  const count = Math.min(MAX_LOOKS, Math.max(1, Math.floor(questions.length / LOOK_QUESTIONS)))
  let arms = NO_REPLAYS
  for (let index = 1; ; index++) {
    const from = (index - 1) * LOOK_QUESTIONS
    const until = index === count ? questions.length : from + LOOK_QUESTIONS
    arms = joinArms(arms, await replayLook(options, { index, from, until }))
    options.report(until / questions.length)
    const verdict = gateWeaver({
      candidate: arms.candidate,
      active: arms.active,
      anchor: anchor === null ? null : arms.anchor,
      guard: { candidate: arms.candidateGuard, active: arms.activeGuard },
      replacesStale,
      look: { index, count },
    })
    if (verdict.decision !== 'continue') return verdict
  }
}

interface LookRange {
  readonly index: number
  readonly from: number
  readonly until: number
}

async function replayLook(
  {
    engine,
    episodes,
    logger,
    signal,
    recorded,
    questions,
    versions,
    serving,
    ...weavers
  }: WeaverTrialOptions,
  { index, from, until }: LookRange,
): Promise<Arms<TrialQuestion>> {
  const asked = questions.slice(from, until)
  const exclude = questions.flatMap(({ episodeIds }) => episodeIds)
  async function solveBy(weaver: Weaver, retrieval: boolean): Promise<readonly (ReplayedFigures | null)[]> {
    const learned = { ...serving, weaver }
    const results = await replay({ engine, episodes, logger }, asked, {
      learned,
      retrieval,
      exclude,
      signal,
      firstSeed: from,
    })
    return results.map((result) => {
      if (result === null) return null
      const { question: _question, cluster: _cluster, tenantId: _tenantId, ...figures } = result
      return figures
    })
  }
  const { candidate, anchor } = weavers
  const active = weavers.incumbent ?? identityWeaver
  const replayAll = async () => ({
    episodes: asked.map(({ episodeIds }) => episodeIds[0] ?? null),
    versions,
    candidate: await solveBy(candidate, false),
    active: await solveBy(active, false),
    anchor: anchor === null ? [] : await solveBy(anchor, false),
    candidateGuard: await solveBy(candidate, true),
    activeGuard: await solveBy(active, true),
  })
  const known = await recorded(`look-${index}`, replayAll)
  // Questions that were deleted since an earlier attempt recorded its replays shift the others. Other versions may be
  // active by then.
  const isSame =
    asked.every(({ episodeIds }, place) => known.episodes[place] === (episodeIds[0] ?? null)) &&
    isDeepStrictEqual(known.versions, versions)
  const figures = isSame && known.episodes.length === asked.length ? known : await replayAll()
  const { candidate: own, active: theirs, anchor: third, candidateGuard, activeGuard } = figures
  // The gate compares question by question, so one that some replay has no result of is left out of all.
  const ran = [own, theirs, third, candidateGuard, activeGuard].filter((results) => results.length > 0)
  const named = (results: readonly (ReplayedFigures | null)[]): readonly TrialQuestion[] =>
    asked.flatMap(({ question, cluster, tenantId }, place) => {
      const result = results[place] ?? null
      const isWhole = ran.every((each) => (each[place] ?? null) !== null)
      return result === null || !isWhole ? [] : [{ question, cluster, tenantId, ...result }]
    })
  return {
    candidate: named(own),
    active: named(theirs),
    anchor: named(third),
    candidateGuard: named(candidateGuard),
    activeGuard: named(activeGuard),
  }
}

function joinArms<Result>(first: Arms<Result>, second: Arms<Result>): Arms<Result> {
  return {
    candidate: [...first.candidate, ...second.candidate],
    active: [...first.active, ...second.active],
    anchor: [...first.anchor, ...second.anchor],
    candidateGuard: [...first.candidateGuard, ...second.candidateGuard],
    activeGuard: [...first.activeGuard, ...second.activeGuard],
  }
}
