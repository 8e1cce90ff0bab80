/** @file Schemas of the response and the events of `POST /solve`. */

import { type Static, type TSchema, Type } from 'typebox'
import type * as solving from '#solving'
import {
  AnswerSignals,
  Count,
  Id,
  Milliseconds,
  Nullable,
  NumberMap,
  OneOf,
  Reward,
  Seed,
} from './primitives.ts'
import { Problem } from './problem.ts'
import { ref } from './ref.ts'
import { sameAs } from './same-as.ts'
import { Strategy } from './solve.ts'

const Answer = Nullable(Type.String({ description: 'The extracted answer; null if there is none.' }))

const Similarity = Type.Number({ minimum: -1, maximum: 1 })

export const RetrievedEpisode = Type.Object(
  {
    episodeId: Id,
    similarity: Similarity,
    weight: Type.Number({
      minimum: 0,
      maximum: 1,
      description: 'Share of this episode in the start of the search.',
    }),
  },
  { $id: 'RetrievedEpisode', description: 'A similar episode that the search started from.' },
)

export const SolutionCandidate = sameAs<solving.SolutionCandidate>()(
  Type.Object(
    {
      kind: OneOf(['draft', 'regeneration', 'sample']),
      text: Type.String({ description: 'The whole text that the model wrote, its thought included.' }),
      answer: Answer,
      reward: Reward,
      rewardTerms: NumberMap,
      ...AnswerSignals,
      confidence: Nullable(
        Type.Number({
          minimum: 0,
          maximum: 1,
          description:
            'Calibrated probability that it is correct, by the fused judge; null while there is none.',
        }),
      ),
      lrm: Nullable(
        Type.Number({
          minimum: 0,
          maximum: 1,
          description:
            'Probability that it is correct, by the latent reward model; null where it was not asked. It is asked for the fused judge.',
        }),
      ),
      tokens: Count,
    },
    { $id: 'SolutionCandidate', description: 'A judged answer.' },
  ),
)

/** Response of the bundled model to the example of SolveRequest. */
const EXAMPLE = {
  id: '73b8254a-65fc-4219-bb51-b5cf4dd8e331',
  episodeId: '73b8254a-65fc-4219-bb51-b5cf4dd8e331',
  answer: '1',
  reasoning: 'left : 6 + 4 * 7 - 4 - 5 ; 6 + 4 = 0 , 0 * 7 = 0 , 0 - 4 = 6 , 6 - 5 = 1 ; ans 1',
  text: 'left : 6 + 4 * 7 - 4 - 5 ; 6 + 4 = 0 , 0 * 7 = 0 , 0 - 4 = 6 , 6 - 5 = 1 ; ans 1',
  thought: null,
  finish: 'end',
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
    fingerprint: '62d26082cb2fe5be3a592a15e53c928a101b132d6a3548e209c66beb5c9a8ee0',
    weaverVersion: null,
    lrmVersion: null,
    judgeVersion: null,
  },
  seed: 1289082641547526,
  usage: { promptTokens: 18, cachedTokens: 0, completionTokens: 39, generatedTokens: 39, rewardTokens: 1 },
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
      episodeId: { ...Nullable(Id), description: 'Id of the stored episode; null if none was stored.' },
      answer: Answer,
      reasoning: Type.String({
        description:
          'The thought of a model that thinks before it answers, without its tags; otherwise the whole text that contains the answer. A part of it when `maxMs` or `maxNewTokens` cut it.',
      }),
      text: Type.String({
        description:
          'The whole text that the model wrote, without its thought and up to a stop sequence; empty when the thought was cut.',
      }),
      thought: Nullable(
        Type.String({
          description:
            'The thought of a model that thinks before it answers, without its tags; null when it did not think.',
        }),
      ),
      finish: Nullable(
        OneOf(['end', 'length', 'time'], {
          description:
            'How the text ended: by itself, by a limit on tokens, or by `maxMs`; null when there is no text.',
        }),
      ),
      reward: Reward,
      confidence: Nullable(
        Type.Number({
          minimum: 0,
          maximum: 1,
          description:
            'Calibrated probability that the answer is correct, by the fused judge, else by the latent reward model; null while there is neither.',
        }),
      ),
      stopped: OneOf(['reward', 'maxIterations', 'maxNewTokens', 'maxMs', 'noImprovement', 'single'], {
        description: 'Reason why the search ended; `single` if there was nothing to optimise.',
      }),
      strategy: ref(Strategy),
      base: Nullable(
        Type.Object(
          { answer: Answer, reward: Reward },
          {
            title: 'BaseAnswer',
            description:
              'The draft. The answer is never judged worse: by its P(correct) where a fused judge is active, else by its reward, except where a policy has chosen to vote, or callers have called the draft’s answer wrong.',
          },
        ),
      ),
      improved: Type.Boolean({
        description: 'Whether the answer is judged better than the draft; false if no draft was finished.',
      }),
      iterations: Type.Integer({
        minimum: 0,
        description: 'Number of updates of the latents, or of rounds of `fork`.',
      }),
      evaluations: Type.Integer({ minimum: 0, description: 'Number of new answers judged after the draft.' }),
      rewardHistory: Type.Array(Reward),
      retrieved: Type.Array(ref(RetrievedEpisode)),
      model: Type.Object({
        id: Type.String(),
        fingerprint: Type.String({
          description:
            'Fingerprint of the model. Latents are never shared between models of different fingerprints.',
        }),
        weaverVersion: Nullable(Type.String()),
        lrmVersion: Nullable(Type.String()),
        judgeVersion: Nullable(Type.String()),
      }),
      seed: Seed,
      usage: Type.Object({
        promptTokens: Count,
        cachedTokens: Type.Integer({
          minimum: 0,
          description:
            'Tokens of the prompt that an earlier request with the same beginning had left in the cache.',
        }),
        completionTokens: Type.Integer({ minimum: 0, description: 'Tokens of the returned answer.' }),
        generatedTokens: Type.Integer({
          minimum: 0,
          description: 'Tokens decoded for drafts, regenerations and samples.',
        }),
        rewardTokens: Type.Integer({ minimum: 0, description: 'Tokens read for judging.' }),
        recurrences: Type.Optional(
          Type.Integer({
            minimum: 0,
            description:
              'Recurrences that the generated tokens took together; only of a depth-recurrent model.',
          }),
        ),
      }),
      timings: Type.Object({
        queueMs: Milliseconds,
        retrieveMs: Milliseconds,
        draftMs: Milliseconds,
        optimizeMs: Milliseconds,
        rewardMs: Milliseconds,
        totalMs: Milliseconds,
      }),
      degraded: Type.Array(OneOf(['retrieval', 'weaver', 'learning', 'lrm', 'judge']), {
        description:
          'Parts that were unavailable while the request was solved. `lrm`, `judge`: the request asked for the latent reward model or the fused judge, and there is none yet, or it failed.',
      }),
      refutedBy: Type.Optional({
        ...Id,
        description:
          'Present where feedback or a reference called this answer wrong when the same question came before, and no other answer was found: id of the newest episode that gave it.',
      }),
      policy: Type.Optional(
        Type.Object(
          {
            strategy: ref(Strategy),
            from: Type.Number({
              minimum: 0,
              maximum: 1,
              description: 'Lowest P(correct) of the band of the policy that the draft fell in.',
            }),
            signal: OneOf(['verifier', 'judge'], {
              description:
                'Whose P(correct) the bands are about: that of the verifier, or of the fused judge.',
            }),
            confidence: Type.Number({
              minimum: 0,
              maximum: 1,
              description: 'P(correct) of the draft, by `signal`.',
            }),
          },
          {
            title: 'PolicyStep',
            description:
              'What a measured policy chose to do after the draft: that of the active fused judge, else that of the model profile; absent where there is none. Only `auto` has one.',
          },
        ),
      ),
      candidates: Type.Optional(
        Type.Array(ref(SolutionCandidate), { description: 'With `explain`: all judged answers.' }),
      ),
      latents: Type.Optional(
        Type.Array(
          Type.Object({
            step: Count,
            x: Type.Number(),
            y: Type.Number(),
            reward: Reward,
            answer: Answer,
            text: Type.String({ description: 'The text of the answer that the latents decode to.' }),
          }),
          { description: 'With `explain`: the latents of every evaluation, projected to two dimensions.' },
        ),
      ),
    },
    {
      $id: 'Solution',
      description: 'The best answer that was found, with the cost of the search.',
      examples: [EXAMPLE],
    },
  ),
)

/** Events of the solver, and the two events that end a stream. */
type StreamEvent =
  | solving.SolveEvent
  | { readonly event: 'answer'; readonly data: solving.Solution }
  | { readonly event: 'error'; readonly data: Static<typeof Problem> }

/** Schemas of the events of a stream, in the order in which they are sent. */
export const EVENTS = [
  frame('retrieval', Type.Object({ retrieved: Type.Array(ref(RetrievedEpisode)) })),
  frame(
    'tokens',
    Type.Object({
      text: Type.String(),
      thought: Type.Boolean({ description: 'Whether the text belongs to the thought of the model.' }),
    }),
  ),
  frame('draft', Type.Object({ answer: Answer, reasoning: Type.String(), reward: Reward })),
  frame('iteration', Type.Object({ step: Count, reward: Reward, changed: Type.Boolean(), answer: Answer })),
  frame('candidate', ref(SolutionCandidate)),
  frame('answer', ref(Solution)),
  frame('error', ref(Problem)),
] as const

const [retrieval, tokens, draft, iteration, candidate, answer, error] = EVENTS

export const SolveEvent = sameAs<StreamEvent>()(
  Type.Union(
    [ref(retrieval), ref(tokens), ref(draft), ref(iteration), ref(candidate), ref(answer), ref(error)],
    {
      $id: 'SolveEvent',
      description:
        'One server-sent event: `event` is its name, `data` the JSON of its data line. The last event is `answer` or `error`. Comments are heartbeats.',
    },
  ),
)

function frame<Name extends string, Data extends TSchema>(event: Name, data: Data) {
  const name = `${event[0]?.toUpperCase()}${event.slice(1)}Event`
  return Type.Object({ event: Type.Literal(event), data }, { $id: name })
}
