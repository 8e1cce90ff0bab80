/** @file What `POST /solve` answers, and what it says on the way. */

import { type Static, type TSchema, Type } from 'typebox'
import type * as solving from '#solving'
import { Count, Id, Milliseconds, Nullable, NumberMap, OneOf, Reward, Seed } from './primitives.ts'
import { Problem } from './problem.ts'
import { ref } from './ref.ts'
import { sameAs } from './same-as.ts'
import { Strategy } from './solve.ts'

const Answer = Nullable(Type.String({ description: 'The extracted answer; null when there is none.' }))

const Similarity = Type.Number({ minimum: -1, maximum: 1 })

export const RetrievedEpisode = Type.Object(
  {
    episodeId: Id,
    similarity: Similarity,
    weight: Type.Number({ minimum: 0, maximum: 1, description: 'Its share of what memory adds.' }),
  },
  { $id: 'RetrievedEpisode', description: 'A remembered episode that the search started from.' },
)

export const SolutionCandidate = sameAs<solving.SolutionCandidate>()(
  Type.Object(
    {
      kind: OneOf(['draft', 'regeneration', 'sample']),
      answer: Answer,
      reward: Reward,
      rewardTerms: NumberMap,
      tokens: Count,
    },
    { $id: 'SolutionCandidate', description: 'An answer that was judged.' },
  ),
)

/** What the bundled model answers to the example of SolveRequest. */
const EXAMPLE = {
  id: '73b8254a-65fc-4219-bb51-b5cf4dd8e331',
  episodeId: '73b8254a-65fc-4219-bb51-b5cf4dd8e331',
  answer: '1',
  reasoning: 'left : 6 + 4 * 7 - 4 - 5 ; 6 + 4 = 0 , 0 * 7 = 0 , 0 - 4 = 6 , 6 - 5 = 1 ; ans 1',
  reward: -0.012,
  confidence: null,
  stopped: 'reward',
  strategy: 'auto',
  base: { answer: '1', reward: -0.012 },
  improved: false,
  iterations: 0,
  evaluations: 0,
  rewardHistory: [-0.012],
  retrieved: [{ episodeId: 'd3ea1153-cf4b-4344-9788-119758e1b9d3', similarity: 1, weight: 1 }],
  model: {
    id: 'order-of-operations',
    fingerprint: 'a0cedad5e6f29aa7c956a6313e5fe1ca6d34bf290ee3cc1c404a5af9c1c495bb',
    weaverVersion: null,
    lrmVersion: null,
  },
  seed: 1289082641547526,
  usage: { promptTokens: 18, completionTokens: 39, generatedTokens: 39, rewardTokens: 1 },
  timings: {
    queueMs: 0.63,
    retrieveMs: 10.16,
    draftMs: 24.47,
    optimizeMs: 0.04,
    rewardMs: 2,
    totalMs: 33.29,
  },
  degraded: [],
}

export const Solution = sameAs<solving.Solution>()(
  Type.Object(
    {
      id: Id,
      episodeId: { ...Nullable(Id), description: 'null when nothing was kept.' },
      answer: Answer,
      reasoning: Type.String({ description: 'The whole text that the answer comes from.' }),
      reward: Reward,
      confidence: Nullable(
        Type.Number({
          minimum: 0,
          maximum: 1,
          description:
            'Calibrated probability that the answer is right; null while there is no latent reward model.',
        }),
      ),
      stopped: OneOf(['reward', 'maxIterations', 'maxNewTokens', 'maxMs', 'noImprovement', 'single'], {
        description: 'Why the search ended; `single`: there was nothing to optimise.',
      }),
      strategy: ref(Strategy),
      base: Nullable(
        Type.Object(
          { answer: Answer, reward: Reward },
          {
            title: 'BaseAnswer',
            description: 'The draft; `reward` of the answer is never below its reward.',
          },
        ),
      ),
      improved: Type.Boolean({
        description: 'The answer is judged better than the draft; false where none was finished.',
      }),
      iterations: Type.Integer({ minimum: 0, description: 'Updates of the latents.' }),
      evaluations: Type.Integer({ minimum: 0, description: 'New answers judged after the draft.' }),
      rewardHistory: Type.Array(Reward),
      retrieved: Type.Array(ref(RetrievedEpisode)),
      model: Type.Object({
        id: Type.String(),
        fingerprint: Type.String({
          description: 'Latents never move between models of different fingerprints.',
        }),
        weaverVersion: Nullable(Type.String()),
        lrmVersion: Nullable(Type.String()),
      }),
      seed: Seed,
      usage: Type.Object({
        promptTokens: Count,
        completionTokens: Type.Integer({ minimum: 0, description: 'Tokens of the answer returned.' }),
        generatedTokens: Type.Integer({
          minimum: 0,
          description: 'Every token decoded for drafts, regenerations and samples.',
        }),
        rewardTokens: Type.Integer({ minimum: 0, description: 'Tokens read to judge.' }),
      }),
      timings: Type.Object({
        queueMs: Milliseconds,
        retrieveMs: Milliseconds,
        draftMs: Milliseconds,
        optimizeMs: Milliseconds,
        rewardMs: Milliseconds,
        totalMs: Milliseconds,
      }),
      degraded: Type.Array(OneOf(['retrieval', 'weaver', 'learning', 'lrm']), {
        description: 'What was missing while the answer was made.',
      }),
      candidates: Type.Optional(
        Type.Array(ref(SolutionCandidate), { description: 'With `explain`: everything that was judged.' }),
      ),
      latents: Type.Optional(
        Type.Array(Type.Object({ step: Count, x: Type.Number(), y: Type.Number(), reward: Reward }), {
          description: 'With `explain`: the latents of every evaluation, projected to two dimensions.',
        }),
      ),
    },
    { $id: 'Solution', description: 'The best answer found, and what it took.', examples: [EXAMPLE] },
  ),
)

/** The solver's events, and how a stream ends. */
type StreamEvent =
  | solving.SolveEvent
  | { readonly event: 'answer'; readonly data: solving.Solution }
  | { readonly event: 'error'; readonly data: Static<typeof Problem> }

/** The events of a stream by their name, in the order in which they come. */
export const EVENTS = [
  frame('retrieval', Type.Object({ retrieved: Type.Array(ref(RetrievedEpisode)) })),
  frame('draft', Type.Object({ answer: Answer, reasoning: Type.String(), reward: Reward })),
  frame('iteration', Type.Object({ step: Count, reward: Reward, changed: Type.Boolean(), answer: Answer })),
  frame('candidate', ref(SolutionCandidate)),
  frame('answer', ref(Solution)),
  frame('error', ref(Problem)),
] as const

const [retrieval, draft, iteration, candidate, answer, error] = EVENTS

export const SolveEvent = sameAs<StreamEvent>()(
  Type.Union([ref(retrieval), ref(draft), ref(iteration), ref(candidate), ref(answer), ref(error)], {
    $id: 'SolveEvent',
    description:
      'One server-sent event: `event` is its name, `data` the JSON of its data line. The last one is `answer` or `error`; comments are heartbeats.',
  }),
)

function frame<Name extends string, Data extends TSchema>(event: Name, data: Data) {
  const name = `${event[0]?.toUpperCase()}${event.slice(1)}Event`
  return Type.Object({ event: Type.Literal(event), data }, { $id: name })
}
