/** @file Schemas of consolidations for operators: request, ticket, state and list. */

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
        description: 'Kinds of artifacts to train. Default: all.',
      }),
    ),
    force: Type.Optional(
      Type.Boolean({
        default: false,
        description: 'Train even if there are few new episodes. The gate is never skipped.',
      }),
    ),
  },
  {
    ...closed,
    $id: 'ConsolidationRequest',
    description: 'A request to train artifacts from the episodes so far.',
    examples: [{ artifacts: ['weaver', 'lrm'], force: true }],
  },
)

const STATUSES = ['queued', 'running', 'promoted', 'awaiting-review', 'rejected', 'failed'] as const

const ConsolidationStatus = OneOf(STATUSES, {
  $id: 'ConsolidationStatus',
  description:
    '`promoted` if any artifact was promoted; otherwise `awaiting-review` if any passed the gate and waits for its activation, else `rejected`; `failed` only after an error. The active versions stay active unless an artifact is promoted.',
})

export const ConsolidationTicket = Type.Object(
  { id: Id, status: ref(ConsolidationStatus) },
  {
    $id: 'ConsolidationTicket',
    description: 'The requested consolidation, or the one that is already queued or running.',
  },
)

/** Consolidated artifact of the store whose `reason` is absent instead of null. */
type Consolidated = Omit<artifacts.ConsolidatedArtifact, 'reason'> & { readonly reason?: string }

const ConsolidatedArtifact = sameAs<Consolidated>()(
  Type.Object(
    {
      kind: ref(ArtifactKind),
      version: Nullable(Version),
      status: OneOf(['promoted', 'awaiting-review', 'rejected', 'skipped'], {
        description:
          'Decision of the gate; `awaiting-review` if it passed and waits for its activation; `skipped` if there was nothing to train on, with the cause in `reason`.',
      }),
      reason: Reason,
      metrics: Metrics,
      baseline: Metrics,
    },
    {
      $id: 'ConsolidatedArtifact',
      description:
        'Result for one kind of artifact; `baseline` holds the figures of the version that was active, on the same questions.',
    },
  ),
)

type Internal = 'kinds' | 'force' | 'attempts'
type ConsolidationView = Omit<artifacts.Consolidation, Internal | 'artifacts' | 'error'> & {
  readonly artifacts: readonly Consolidated[]
  readonly error?: string
}

export const Consolidation = sameAs<ConsolidationView>()(
  Type.Object(
    {
      id: Id,
      fingerprint: Type.String({ description: 'Fingerprint of the model that the consolidation is for.' }),
      status: ref(ConsolidationStatus),
      progress: Type.Number({ minimum: 0, maximum: 1, description: 'Completed share.' }),
      step: Nullable(
        Type.String({
          description: 'Current step, or the last step once the consolidation has ended.',
          examples: ['train'],
        }),
      ),
      trigger: OneOf(artifacts.TRIGGERS),
      createdAt: Type.String({ format: 'date-time' }),
      startedAt: Nullable(Type.String({ format: 'date-time' })),
      finishedAt: Nullable(Type.String({ format: 'date-time' })),
      episodes: { ...Count, description: 'Number of episodes that were examined.' },
      artifacts: Type.Array(ref(ConsolidatedArtifact)),
      error: Type.Optional(Type.String({ description: 'Error of a failed consolidation.' })),
    },
    {
      $id: 'Consolidation',
      description:
        'One consolidation: it trains artifacts from episodes and promotes those that pass the gate.',
    },
  ),
)

export const ConsolidationList = Type.Object(
  { consolidations: Type.Array(ref(Consolidation)) },
  { $id: 'ConsolidationList', description: 'Consolidations of all models, newest first.' },
)

export const ConsolidationQuery = Type.Object(
  {
    limit: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: 100,
        default: 20,
        description: 'Maximum number of consolidations.',
      }),
    ),
  },
  closed,
)

export const ConsolidationParams = Type.Object(
  { id: Id },
  { ...closed, ...missing('CONSOLIDATION_NOT_FOUND') },
)

/** Components, in the order in which the contract lists them. */
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
