/** @file Nights, as operators ask for them and watch them. */

import { Type } from 'typebox'
import * as artifacts from '#artifacts'
import { ArtifactKind, Metrics, Reason, Version } from './artifacts.ts'
import { missing } from './path-ids.ts'
import { Count, closed, Id, Nullable, OneOf } from './primitives.ts'
import { ref } from './ref.ts'
import { sameAs } from './same-as.ts'

export const ConsolidationRequest = Type.Object(
  {
    artifacts: Type.Optional(
      Type.Array(ref(ArtifactKind), {
        minItems: 1,
        uniqueItems: true,
        description: 'What to train; both unless given.',
      }),
    ),
    force: Type.Optional(
      Type.Boolean({
        default: false,
        description: 'Train although few new episodes are there. The gate is never skipped.',
      }),
    ),
  },
  {
    ...closed,
    $id: 'ConsolidationRequest',
    description: 'What to make of what has been learned so far.',
    examples: [{ artifacts: ['weaver', 'lrm'], force: true }],
  },
)

const ConsolidationStatus = OneOf(['queued', 'running', 'promoted', 'rejected', 'failed'], {
  $id: 'ConsolidationStatus',
  description:
    '`promoted` when any artifact was, else `rejected`; `failed` on an error only. What served before serves on unless something was promoted.',
})

export const ConsolidationTicket = Type.Object(
  { id: Id, status: ref(ConsolidationStatus) },
  {
    $id: 'ConsolidationTicket',
    description: 'The consolidation that was asked for, or that is under way already.',
  },
)

/** As the store's, but for a reason that is not there. */
type Consolidated = Omit<artifacts.ConsolidatedArtifact, 'reason'> & { readonly reason?: string }

const ConsolidatedArtifact = sameAs<Consolidated>()(
  Type.Object(
    {
      kind: ref(ArtifactKind),
      version: Nullable(Version),
      status: OneOf(['promoted', 'rejected', 'skipped'], {
        description: '`skipped`: there was nothing to learn from, `reason` says why.',
      }),
      reason: Reason,
      metrics: Metrics,
      baseline: Metrics,
    },
    {
      $id: 'ConsolidatedArtifact',
      description:
        'What became of one kind; `baseline` are the figures of what was active, on the same questions.',
    },
  ),
)

type Unasked = 'kinds' | 'force' | 'attempts'
type ConsolidationView = Omit<artifacts.Consolidation, Unasked | 'artifacts' | 'error'> & {
  readonly artifacts: readonly Consolidated[]
  readonly error?: string
}

export const Consolidation = sameAs<ConsolidationView>()(
  Type.Object(
    {
      id: Id,
      fingerprint: Type.String({ description: 'Of the model that it is for.' }),
      status: ref(ConsolidationStatus),
      progress: Type.Number({ minimum: 0, maximum: 1, description: 'Share that is done.' }),
      step: Nullable(Type.String({ description: 'The step in hand, or the last one.', examples: ['train'] })),
      trigger: OneOf(artifacts.TRIGGERS),
      createdAt: Type.String({ format: 'date-time' }),
      startedAt: Nullable(Type.String({ format: 'date-time' })),
      finishedAt: Nullable(Type.String({ format: 'date-time' })),
      episodes: { ...Count, description: 'Episodes that it looked at.' },
      artifacts: Type.Array(ref(ConsolidatedArtifact)),
      error: Type.Optional(Type.String({ description: 'What it failed with.' })),
    },
    { $id: 'Consolidation', description: 'A night, or what was asked for by hand.' },
  ),
)

export const ConsolidationList = Type.Object(
  { consolidations: Type.Array(ref(Consolidation)) },
  { $id: 'ConsolidationList', description: 'Consolidations of all models, newest first.' },
)

export const ConsolidationQuery = Type.Object(
  {
    limit: Type.Optional(
      Type.Integer({ minimum: 1, maximum: 100, default: 20, description: 'Consolidations at most.' }),
    ),
  },
  closed,
)

export const ConsolidationParams = Type.Object(
  { id: Id },
  { ...closed, ...missing('CONSOLIDATION_NOT_FOUND') },
)

/** In the order in which they are listed. */
export const CONSOLIDATION_COMPONENTS = [
  ConsolidationRequest,
  ConsolidationTicket,
  ConsolidationList,
  Consolidation,
  ConsolidationStatus,
  ConsolidatedArtifact,
] as const

export function toConsolidationView({
  kinds: _kinds,
  force: _force,
  attempts: _attempts,
  artifacts,
  error,
  ...consolidation
}: artifacts.Consolidation): ConsolidationView {
  return {
    ...consolidation,
    artifacts: artifacts.map(({ reason, ...artifact }) => ({
      ...artifact,
      ...(reason !== null && { reason }),
    })),
    ...(error !== null && { error }),
  }
}
