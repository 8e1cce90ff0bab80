/** @file What is remembered, as callers see it. Latents and embeddings never leave the service. */

import { Type } from 'typebox'
import type * as episodes from '#episodes'
import { missing } from './path-ids.ts'
import { Count, closed, Id, Nullable, NumberMap, OneOf, Reward, Seed, Text } from './primitives.ts'
import { ref } from './ref.ts'
import { sameAs } from './same-as.ts'

export const LabelSource = OneOf(['feedback', 'reference', 'majority', 'self'], {
  $id: 'LabelSource',
  description: 'Where a label comes from, most trusted first.',
})

const MaybeLabelSource = Type.Union([ref(LabelSource), Type.Null()])

const Label = Nullable(Type.Boolean({ description: 'Correct or not; null while nobody knows.' }))

const summary = {
  id: Id,
  createdAt: Type.String({ format: 'date-time' }),
  modelId: Type.String(),
  strategy: Type.String(),
  question: Type.String(),
  answer: Nullable(Type.String()),
  reward: Reward,
  baseReward: Nullable(Reward),
  iterations: Count,
  admitted: Type.Boolean({ description: 'Good enough to be retrieved and learned from.' }),
  status: OneOf(['pending', 'indexed'], {
    description: '`indexed` once the worker has labelled it.',
  }),
  label: Label,
  labelSource: MaybeLabelSource,
}

export const EpisodeSummary = sameAs<episodes.EpisodeSummary>()(
  Type.Object(summary, {
    $id: 'EpisodeSummary',
    description: 'One solved request, in short.',
  }),
)

export const EpisodeCandidate = sameAs<episodes.StoredCandidate>()(
  Type.Object(
    {
      kind: OneOf(['draft', 'regeneration', 'sample']),
      tokens: Type.Array(Count, { description: 'Token ids of the answer.' }),
      text: Type.String(),
      answer: Nullable(Type.String()),
      reward: Reward,
      rewardTerms: NumberMap,
      chosen: Type.Boolean({ description: 'The candidate that was returned.' }),
      label: Label,
      labelSource: MaybeLabelSource,
    },
    { $id: 'EpisodeCandidate', description: 'An answer that was judged, with its label.' },
  ),
)

export const Episode = sameAs<episodes.EpisodeDetail>()(
  Type.Object(
    {
      ...summary,
      fingerprint: Type.String(),
      reasoning: Type.String(),
      reference: Nullable(Type.String()),
      evaluations: Count,
      generatedTokens: Count,
      stopped: Type.String(),
      seed: Seed,
      candidates: Type.Array(ref(EpisodeCandidate)),
    },
    { $id: 'Episode', description: 'One solved request with everything that was judged on the way.' },
  ),
)

export const EpisodePage = sameAs<episodes.EpisodePage>()(
  Type.Object(
    {
      episodes: Type.Array(ref(EpisodeSummary)),
      nextCursor: Nullable(
        Type.String({ description: 'Pass it as `cursor` for the next page; null on the last.' }),
      ),
    },
    { $id: 'EpisodePage', description: 'Episodes, newest first.' },
  ),
)

export const Feedback = sameAs<episodes.Feedback>()(
  Type.Union(
    [
      Type.Object(
        { correct: Type.Boolean({ description: 'Whether the returned answer was right.' }) },
        { ...closed, title: 'CorrectnessFeedback' },
      ),
      Type.Object(
        { answer: Text({ minLength: 1, maxLength: 1024, description: 'The right answer.' }) },
        { ...closed, title: 'AnswerFeedback' },
      ),
    ],
    {
      $id: 'Feedback',
      description: 'A caller’s word on an episode: it outranks every other label.',
      examples: [{ correct: true }],
    },
  ),
)

export const EpisodeQuery = Type.Object(
  {
    limit: Type.Optional(
      Type.Integer({ minimum: 1, maximum: 100, default: 20, description: 'Episodes of a page at most.' }),
    ),
    cursor: Type.Optional(
      Text({ minLength: 1, maxLength: 512, description: '`nextCursor` of the page before.' }),
    ),
  },
  closed,
)

export const EpisodeParams = Type.Object({ id: Id }, { ...closed, ...missing('EPISODE_NOT_FOUND') })

export const DeletedEpisodes = Type.Object(
  { deleted: Type.Integer({ minimum: 0, description: 'How many episodes there were.' }) },
  { $id: 'DeletedEpisodes' },
)
