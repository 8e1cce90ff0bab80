/** @file Schema of the report of a finished consolidation. */

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
      description: 'Name of the step, followed by the kind if each kind has its own step.',
      examples: ['train.lrm'],
    }),
    seconds: { ...Seconds, description: 'Time since the end of the previous step.' },
  },
  { $id: 'NightStep' },
)

const Share = Type.Number({ minimum: 0, maximum: 1 })

const ReportedBand = Type.Object(
  {
    effort: Type.String({ description: 'Effort of the requests.' }),
    from: { ...Share, description: 'Lowest P(correct) of the draft; the band ends at the next one.' },
    strategy: Type.String({ description: 'What is done; `greedy` returns the draft.' }),
    samples: Type.Optional(Type.Integer({ minimum: 1 })),
    selector: Type.Optional(Type.String()),
    stopAbove: Type.Optional({
      ...Share,
      description: 'P(correct) of the chosen answer from which no further samples are taken.',
    }),
    stopBelow: Type.Optional({
      ...Share,
      description: 'P(correct) of the chosen answer below which no further samples are taken.',
    }),
    stopVotes: Type.Optional(
      Type.Integer({
        minimum: 2,
        description: 'Votes for one answer from which no further samples are taken.',
      }),
    ),
    questions: Type.Optional({ ...Count, description: 'Questions on which the band was chosen.' }),
    draftAccuracy: Type.Optional({ ...Share, description: 'Accuracy of their drafts.' }),
    accuracy: Type.Optional({ ...Share, description: 'Accuracy with the strategy.' }),
    tokens: Type.Optional(
      Type.Number({ minimum: 0, description: 'Mean number of tokens, with those of the draft.' }),
    ),
  },
  { title: 'ReportedBand' },
)

const ReportedArtifact = sameAs<artifacts.ReportedKind>()(
  Type.Object(
    {
      kind: ref(ArtifactKind),
      version: Nullable(Version),
      status: Nullable(
        OneOf(['promoted', 'awaiting-review', 'rejected', 'skipped'], {
          description:
            'Decision of the gate; null if the consolidation failed before the decision took effect.',
        }),
      ),
      reason: Nullable(Type.String({ description: 'Reason of the decision, in words.' })),
      form: Type.Optional(
        Nullable(
          Type.String({
            description:
              'What a reward model reads: `mean`, the averaged thought; `last`, the states of the last token; `gated`, all tokens, each through a gate. Null for a weaver, or if nothing was trained; absent from reports of earlier releases.',
            examples: ['gated'],
          }),
        ),
      ),
      episodes: Type.Object({
        remembered: { ...Count, description: 'Episodes of this model when the consolidation began.' },
        learnedFrom: { ...Count, description: 'Episodes that were trained on.' },
        leftOut: { ...NumberMap, description: 'Number of excluded episodes, by reason.' },
      }),
      weights: Type.Optional({
        ...NumberMap,
        description:
          'Weights of a fused judge, by feature: change of the logit of P(correct) for one standard deviation of the feature. Absent for other kinds.',
      }),
      policy: Type.Optional(
        Type.Array(ReportedBand, {
          description:
            'Policy of a fused judge: what `auto` does next, by the P(correct) of the draft. The figures are of the questions on which it was chosen; what it gains on others is among the metrics. Absent for other kinds, and where nothing gains.',
        }),
      ),
      losses: { ...NumberMap, description: 'Training losses, by name.' },
      metrics: { ...Metrics, description: 'Figures of the candidate, on held-out questions.' },
      baseline: {
        ...Metrics,
        description: 'Figures of the previously active version, on the same questions.',
      },
    },
    { $id: 'ReportedArtifact', description: 'Training and decision of one kind of artifact.' },
  ),
)

const ReportedEvidence = sameAs<artifacts.ReportedEvidence>()(
  Type.Object(
    {
      questions: { ...Count, description: 'Questions chosen.' },
      sampled: { ...Count, description: 'Questions with a stored episode of samples.' },
      failed: { ...Count, description: 'Questions that could not be solved or stored.' },
      generatedTokens: { ...Count, description: 'Tokens generated for the samples.' },
      stopped: Nullable(
        Type.String({ description: 'Reason why questions were left; null if all were tried.' }),
      ),
    },
    {
      description:
        'Answers that the consolidation sampled to unlabelled questions of requests; null if it sampled none.',
    },
  ),
)

export const ConsolidationReport = sameAs<artifacts.NightReport>()(
  Type.Object(
    {
      consolidationId: Id,
      fingerprint: Type.String({ description: 'Fingerprint of the model that the consolidation was for.' }),
      trigger: OneOf(artifacts.TRIGGERS),
      status: OneOf(['promoted', 'awaiting-review', 'rejected', 'failed']),
      error: Nullable(Type.String({ description: 'Error of a failed consolidation, otherwise null.' })),
      startedAt: Moment,
      endedAt: Moment,
      seconds: Seconds,
      attempts: { ...Count, description: 'Number of times a worker started the consolidation.' },
      steps: Type.Array(ref(ConsolidationStep)),
      trainerPeakBytes: Nullable(
        Type.Integer({
          minimum: 0,
          format: 'int64',
          description: 'Peak memory of the training process, in bytes; null if there was no such process.',
        }),
      ),
      evidence: Nullable(ReportedEvidence),
      artifacts: Type.Array(ref(ReportedArtifact)),
      retired: Nullable(
        Type.Integer({
          minimum: 0,
          description:
            'Number of episodes excluded from retrieval because a better near-duplicate exists; null if the consolidation failed earlier.',
        }),
      ),
    },
    { $id: 'NightReport', description: 'Steps, durations and decisions of a finished consolidation.' },
  ),
)

/** Components, in the order in which the contract lists them. */
export const REPORT_COMPONENTS = [ConsolidationReport, ConsolidationStep, ReportedArtifact] as const
