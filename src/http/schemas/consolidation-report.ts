/** @file What a night tells about itself when it is over. */

import { Type } from 'typebox'
import * as artifacts from '#artifacts'
import { ArtifactKind, Metrics, Version } from './artifacts.ts'
import { Count, Id, Nullable, NumberMap, OneOf } from './primitives.ts'
import { ref } from './ref.ts'
import { sameAs } from './same-as.ts'

const Seconds = Type.Number({ minimum: 0 })
const Moment = Type.String({ format: 'date-time' })

const ConsolidationStep = Type.Object(
  {
    step: Type.String({
      description: 'Its name, and the kind where each has its own.',
      examples: ['train.lrm'],
    }),
    seconds: { ...Seconds, description: 'From the end of the step before.' },
  },
  { $id: 'NightStep' },
)

const ReportedArtifact = sameAs<artifacts.ReportedKind>()(
  Type.Object(
    {
      kind: ref(ArtifactKind),
      version: Nullable(Version),
      status: Nullable(
        OneOf(['promoted', 'rejected', 'skipped'], {
          description: 'null: the night failed before the gate’s word was carried out.',
        }),
      ),
      reason: Nullable(Type.String({ description: 'Why, in words.' })),
      episodes: Type.Object({
        remembered: { ...Count, description: 'Of this model, when the night began.' },
        learnedFrom: Count,
        leftOut: { ...NumberMap, description: 'How many, by reason.' },
      }),
      losses: { ...NumberMap, description: 'Of training, by name.' },
      metrics: { ...Metrics, description: 'Of the candidate, on questions that it never saw.' },
      baseline: { ...Metrics, description: 'Of what served before, on the same questions.' },
    },
    { $id: 'ReportedArtifact', description: 'What became of one kind, and of what it learned.' },
  ),
)

export const ConsolidationReport = sameAs<artifacts.NightReport>()(
  Type.Object(
    {
      consolidationId: Id,
      fingerprint: Type.String({ description: 'Of the model that it was for.' }),
      trigger: OneOf(artifacts.TRIGGERS),
      status: OneOf(['promoted', 'rejected', 'failed']),
      error: Nullable(Type.String({ description: 'What it failed with.' })),
      startedAt: Moment,
      endedAt: Moment,
      seconds: Seconds,
      attempts: { ...Count, description: 'How often a worker began it.' },
      steps: Type.Array(ref(ConsolidationStep)),
      trainerPeakBytes: Nullable(
        Type.Integer({
          minimum: 0,
          format: 'int64',
          description: 'Most memory of the training process.',
        }),
      ),
      artifacts: Type.Array(ref(ReportedArtifact)),
      retired: Nullable(
        Type.Integer({
          minimum: 0,
          description: 'Episodes that stopped steering: there is a better one that is nearly the same.',
        }),
      ),
    },
    { $id: 'NightReport', description: 'What a night did, took and decided.' },
  ),
)

/** In the order in which they are listed. */
export const REPORT_COMPONENTS = [ConsolidationReport, ConsolidationStep, ReportedArtifact] as const
