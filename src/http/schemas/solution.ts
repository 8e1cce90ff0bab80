/** @file What `POST /solve` answers, and what it says on the way. */

import { type Static, type TSchema, Type } from 'typebox'
import type * as solving from '#solving'
import { Count, Id, Milliseconds, Nullable, NumberMap, OneOf, Reward, Seed } from './atoms.ts'
import { mirrors } from './mirrors.ts'
import { Problem } from './problem.ts'
import { ref } from './ref.ts'
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

export const SolutionCandidate = mirrors<solving.SolutionCandidate>()(
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

const EXAMPLE = {
  id: '0198f2c4-7a51-7c3e-9f0b-5d2f6a8e1c47',
  episodeId: '0198f2c4-7b02-7d11-8a3c-0e4b9c7d2f15',
  answer: '1',
  reasoning: 'left : 6 + 4 * 7 - 4 - 5 ; 6 + 4 = 0 , 0 * 7 = 0 , 0 - 4 = 6 , 6 - 5 = 1 ; answer 1',
  reward: -0.04,
  stopped: 'reward',
  strategy: 'auto',
  base: { answer: '5', reward: -0.97 },
  improved: true,
  iterations: 2,
  evaluations: 1,
  rewardHistory: [-0.97, -0.04],
  retrieved: [],
  model: {
    id: 'order-of-operations',
    fingerprint: 'sha256:6d1f0c9a3e5b7d2f8a4c6e0b1d3f5a7c9e2b4d6f8a0c1e3b5d7f9a2c4e6b8d0f',
    weaverVersion: null,
    lrmVersion: null,
  },
  seed: 4107712953,
  usage: { promptTokens: 24, completionTokens: 41, generatedTokens: 83, rewardTokens: 2 },
  timings: { queueMs: 0.2, retrieveMs: 1.9, draftMs: 31.4, optimizeMs: 42.8, rewardMs: 5.1, totalMs: 84.6 },
  degraded: [],
}

export const Solution = mirrors<solving.Solution>()(
  Type.Object(
    {
      id: Id,
      episodeId: { ...Nullable(Id), description: 'null when nothing was kept.' },
      answer: Answer,
      reasoning: Type.String({ description: 'The whole text that the answer comes from.' }),
      reward: Reward,
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
      improved: Type.Boolean({ description: 'The answer is judged better than the draft.' }),
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
      degraded: Type.Array(OneOf(['retrieval', 'learning', 'lrm']), {
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

export const SolveEvent = mirrors<StreamEvent>()(
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
