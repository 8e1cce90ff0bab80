/** @file Schemas of episodes for callers. Latents and embeddings never leave the service. */

import { Type } from 'typebox'
import type * as episodes from '#episodes'
import { missing } from './path-ids.ts'
import {
  AnswerSignals,
  Count,
  closed,
  Id,
  Nullable,
  NumberMap,
  OneOf,
  Reward,
  Seed,
  Text,
} from './primitives.ts'
import { ref } from './ref.ts'
import { sameAs } from './same-as.ts'
import { Strategy } from './solve.ts'

export const LabelSource = OneOf(['feedback', 'reference', 'majority', 'self'], {
  $id: 'LabelSource',
  description: 'Source of a label, most trusted first.',
})

const MaybeLabelSource = Type.Union([ref(LabelSource), Type.Null()])

const Label = Nullable(Type.Boolean({ description: 'Whether the answer is correct; null while unknown.' }))

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
  admitted: Type.Boolean({
    description: 'Whether the episode is good enough to be retrieved and trained on.',
  }),
  steering: OneOf(['steers', 'refuted', 'notAdmitted', 'noLatents', 'superseded', 'withdrawn', 'dominated'], {
    description:
      'Whether the episode may influence other requests, or the first reason why not. `refuted`: feedback or reference contradicts its answer. `superseded`: the confirmed answer to its question differs; of two confirmed answers the newer one holds. `withdrawn`: an episode that moved the start of its answer was deleted on request, refuted or withdrawn. `dominated`: a near-duplicate is better.',
  }),
  status: OneOf(['pending', 'indexed'], {
    description: '`indexed` once the worker has labelled the episode.',
  }),
  label: Label,
  labelSource: MaybeLabelSource,
}

export const EpisodeSummary = sameAs<episodes.EpisodeSummary>()(
  Type.Object(summary, {
    $id: 'EpisodeSummary',
    description: 'Summary of one solved request.',
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
      ...AnswerSignals,
      chosen: Type.Boolean({ description: 'Whether this candidate was returned.' }),
      label: Label,
      labelSource: MaybeLabelSource,
    },
    { $id: 'EpisodeCandidate', description: 'A judged answer with its label.' },
  ),
)

export const Episode = sameAs<episodes.EpisodeDetail>()(
  Type.Object(
    {
      ...summary,
      fingerprint: Type.String({ description: 'Fingerprint of the model that answered.' }),
      judgeFingerprint: Type.String({
        description:
          'Fingerprint of the judge that gave the rewards, which compare only with those of the same judge; empty when it is not known.',
      }),
      reasoning: Type.String(),
      reference: Nullable(Type.String()),
      evaluations: Count,
      generatedTokens: Count,
      stopped: Type.String(),
      seed: Seed,
      weaverVersion: Nullable(
        Type.String({
          description:
            'Version of the weaver that could influence the answer; `none` when no version was active. Null when the request used no weaver, and for episodes of earlier releases.',
          examples: ['weaver-2'],
        }),
      ),
      lrmVersion: Nullable(
        Type.String({
          description:
            'Version of the latent reward model that could influence the answer; `none` when no version was active. Null when the request used no such model, and for episodes of earlier releases.',
          examples: ['lrm-3'],
        }),
      ),
      judgeVersion: Nullable(
        Type.String({
          description:
            'Version of the fused judge that could influence the answer; `none` when no version was active. Null when the request used no such judge, and for episodes of earlier releases.',
          examples: ['judge-2'],
        }),
      ),
      candidates: Type.Array(ref(EpisodeCandidate)),
    },
    { $id: 'Episode', description: 'One solved request with all its judged answers.' },
  ),
)

export const EpisodePage = sameAs<episodes.EpisodePage>()(
  Type.Object(
    {
      episodes: Type.Array(ref(EpisodeSummary)),
      nextCursor: Nullable(
        Type.String({ description: 'Value of `cursor` for the next page; null on the last page.' }),
      ),
    },
    { $id: 'EpisodePage', description: 'Episodes, newest first.' },
  ),
)

export const Feedback = sameAs<episodes.Feedback>()(
  Type.Union(
    [
      Type.Object(
        { correct: Type.Boolean({ description: 'Whether the returned answer is correct.' }) },
        { ...closed, title: 'CorrectnessFeedback' },
      ),
      Type.Object(
        { answer: Text({ minLength: 1, maxLength: 1024, description: 'The correct answer.' }) },
        { ...closed, title: 'AnswerFeedback' },
      ),
    ],
    {
      $id: 'Feedback',
      description: 'Feedback of a caller on an episode. It outranks every other label.',
      examples: [{ correct: true }],
    },
  ),
)

/** Filter of the list as its query has it. */
const filter = {
  question: Type.Optional(
    Text({ minLength: 1, maxLength: 256, description: 'Part of the question, in any case.' }),
  ),
  answer: Type.Optional(Text({ minLength: 1, maxLength: 1024, description: 'The whole returned answer.' })),
  label: Type.Optional(
    OneOf(['right', 'wrong', 'unknown'], { description: 'Label of the returned answer.' }),
  ),
  minReward: Type.Optional(Reward),
  maxReward: Type.Optional(Reward),
  steers: Type.Optional(
    Type.Boolean({
      description: 'Whether the episode may influence other requests (`true`), or not (`false`).',
    }),
  ),
  strategy: Type.Optional(ref(Strategy)),
  ledBy: Type.Optional({ ...Id, description: 'Episode that moved the start of the answer.' }),
}

export const EpisodeQuery = Type.Object(
  {
    ...filter,
    limit: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: 100,
        default: 20,
        description: 'Maximum number of episodes on a page.',
      }),
    ),
    cursor: Type.Optional(
      Text({
        minLength: 1,
        maxLength: 512,
        description: '`nextCursor` of the previous page, for the same filters.',
      }),
    ),
  },
  closed,
)

export const EpisodeSearch = Type.Object(
  {
    question: Text({ minLength: 1, maxLength: 16_384, description: 'Any question; it is not answered.' }),
    topK: Type.Optional(
      Type.Integer({ minimum: 1, maximum: 50, default: 10, description: 'Maximum number of episodes.' }),
    ),
    minSimilarity: Type.Optional(
      Type.Number({ minimum: -1, maximum: 1, default: -1, description: 'Lowest cosine similarity.' }),
    ),
  },
  {
    ...closed,
    $id: 'EpisodeSearch',
    description: 'A question whose most similar episodes are wanted.',
    examples: [{ question: 'What is 3 + 4?', topK: 5 }],
  },
)

export const EpisodeNeighbours = Type.Object(
  {
    neighbours: Type.Array(
      Type.Object({
        similarity: Type.Number({
          minimum: -1,
          maximum: 1,
          description: 'Cosine of the embeddings of the two questions.',
        }),
        episode: ref(EpisodeSummary),
      }),
    ),
    usage: Type.Object({ promptTokens: { ...Count, description: 'Tokens of the question in its prompt.' } }),
  },
  {
    $id: 'EpisodeNeighbours',
    description: 'Episodes that may influence the answer to a question, most similar first.',
  },
)

export const EpisodeInfluence = sameAs<episodes.EpisodeInfluence>()(
  Type.Object(
    {
      ledBy: Type.Array(ref(EpisodeSummary), {
        description: 'Episodes that moved the start of the answer, without those that are gone.',
      }),
      led: Type.Array(ref(EpisodeSummary), {
        description: 'Newest 100 of the episodes whose answers began from this one.',
      }),
      deletion: Type.Object(
        {
          withdrawn: {
            ...Count,
            description:
              'Number of episodes that would steer no longer, because this one led them, directly or not, and no caller has confirmed them.',
          },
          released: {
            ...Count,
            description:
              'Number of episodes that this one keeps from steering, as a better near-duplicate or by another confirmed answer. They may steer again.',
          },
          artifacts: Type.Array(
            Type.Object({ id: Id, version: Type.String({ examples: ['lrm-3'] }), active: Type.Boolean() }),
            { description: 'Newest 100 artifacts that were trained on the episode, and would become stale.' },
          ),
        },
        { description: 'What the deletion of the episode changes.' },
      ),
    },
    {
      $id: 'EpisodeInfluence',
      description: 'What led an episode, what it led, and what its deletion changes.',
    },
  ),
)

export const EpisodeMap = sameAs<episodes.EpisodeMap>()(
  Type.Object(
    {
      points: Type.Array(
        Type.Object({
          id: Id,
          question: Type.String({ description: 'First 120 characters of the question.' }),
          answer: Nullable(Type.String()),
          reward: Reward,
          steers: Type.Boolean({ description: 'Whether the episode may influence other requests.' }),
          label: Label,
          x: Type.Number({ description: 'Place along the first principal component.' }),
          y: Type.Number({ description: 'Place along the second.' }),
        }),
        { description: 'Newest first.' },
      ),
      explained: Type.Unsafe<readonly [number, number]>({
        type: 'array',
        items: { type: 'number', minimum: 0, maximum: 1 },
        minItems: 2,
        maxItems: 2,
        description: 'Share of the variance of the projections along x, and along y. The rest does not show.',
      }),
    },
    {
      $id: 'EpisodeMap',
      description: 'Episodes in two dimensions: similar questions lie close together.',
    },
  ),
)

export const EpisodeMapQuery = Type.Object(
  {
    limit: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: 10_000,
        default: 2_000,
        description: 'Maximum number of episodes; the newest are taken.',
      }),
    ),
  },
  closed,
)

export const EpisodeParams = Type.Object({ id: Id }, { ...closed, ...missing('EPISODE_NOT_FOUND') })

export const Deletion = sameAs<episodes.Deletion>()(
  Type.Object(
    {
      id: Id,
      status: OneOf(['queued', 'running', 'finished'], {
        description: 'The episodes are hidden from the start, and gone once this is `finished`.',
      }),
      requestedAt: Type.String({ format: 'date-time' }),
      startedAt: Nullable(Type.String({ format: 'date-time' })),
      finishedAt: Nullable(Type.String({ format: 'date-time' })),
      deleted: Type.Object(
        {
          episodes: Count,
          candidates: { ...Count, description: 'Judged answers.' },
          thoughts: { ...Count, description: 'Latent thoughts of judged answers.' },
          latents: { ...Count, description: 'Episodes whose latents are gone.' },
          jobs: { ...Count, description: 'Rows of the outbox: jobs that label episodes.' },
        },
        { description: 'Numbers of rows that are gone so far.' },
      ),
      withdrawn: {
        ...Count,
        description:
          'Number of episodes that were stored after the request, and that deleted ones had led. They steer no longer.',
      },
      artifacts: Type.Array(Id, {
        description: 'Artifacts that were trained on deleted episodes, and are stale until the next night.',
      }),
    },
    { $id: 'Deletion', description: 'Record of the deletion of all episodes of a tenant.' },
  ),
)

export const DeletionParams = Type.Object({ id: Id }, { ...closed, ...missing('DELETION_NOT_FOUND') })
