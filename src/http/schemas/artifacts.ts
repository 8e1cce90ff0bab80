/** @file Schemas of artifacts for operators. The bytes of an artifact never leave the service. */

import { type Static, Type } from 'typebox'
import * as artifacts from '#artifacts'
import { missing } from './path-ids.ts'
import { Count, closed, Id, Nullable, OneOf } from './primitives.ts'
import { ref } from './ref.ts'
import { sameAs } from './same-as.ts'

export const ArtifactKind = OneOf(artifacts.ARTIFACT_KINDS, {
  $id: 'ArtifactKind',
  description:
    'Kind of artifact: `weaver` is the latent weaver, `lrm` the latent reward model, `judge` the fused judge, which weighs all that is known of an answer.',
})

export const Metric = sameAs<artifacts.Metric>()(
  Type.Object(
    {
      value: Type.Number(),
      n: Type.Integer({ minimum: 0, description: 'Number of measured items.' }),
      low: Type.Optional(Type.Number({ description: 'Lower bound of the 95 % interval.' })),
      high: Type.Optional(Type.Number({ description: 'Upper bound of the 95 % interval.' })),
    },
    { $id: 'Metric', description: 'A measured figure with its uncertainty.' },
  ),
)

export const Metrics = Type.Unsafe<Record<string, Static<typeof Metric>>>(
  Type.Object({}, { additionalProperties: ref(Metric) }),
)

const Features = Type.Unsafe<Record<string, number | string>>(
  Type.Object({}, { additionalProperties: Type.Union([Type.Number(), Type.String()]) }),
)

export const Version = Type.String({
  description: 'Version number, counted per kind and model.',
  examples: ['lrm-3'],
})

/** Reason of a decision; absent if the decision needs none. */
export const Reason = Type.Optional(Type.String({ description: 'Reason of the decision, in words.' }))

/** Artifact of the store whose `reason` is absent instead of null. */
type Artifact = Omit<artifacts.Artifact, 'reason'> & { readonly reason?: string }

export const ArtifactSchema = sameAs<Artifact>()(
  Type.Object(
    {
      id: Id,
      kind: ref(ArtifactKind),
      version: Version,
      fingerprint: Type.String({ description: 'Fingerprint of the model that the artifact belongs to.' }),
      sha256: Type.String(),
      bytes: Count,
      status: OneOf(['candidate', 'promoted', 'rejected'], {
        description:
          '`candidate` until the gate has decided, and then while a version that passed waits for its activation.',
      }),
      passed: Nullable(
        Type.Boolean({ description: 'Whether the version passed the gate; null until it has decided.' }),
      ),
      active: Type.Boolean({ description: 'Whether this version is in use now.' }),
      activatedBy: Nullable(
        OneOf(['promotion', 'operator', 'rollback'], {
          description:
            'Cause of the last activation. `promotion`: a night, or the review of its candidate. `operator`: by hand. `rollback`: the live outcomes of the version after it had fallen. Null if the version was never active, or became so under an earlier release.',
        }),
      ),
      rolledBackAt: Nullable(
        Type.String({
          format: 'date-time',
          description:
            'Time at which the version was rolled back by itself, because its live outcomes had fallen; `reason` and the metric `live` have the figures. Null if it was not.',
        }),
      ),
      stale: Type.Boolean({
        description:
          'Whether an episode that the artifact was trained on has been erased on request. A stale version must be replaced.',
      }),
      erasedEpisodes: Type.Integer({
        minimum: 0,
        description: 'Number of episodes erased on request since the artifact was trained on them.',
      }),
      expiredEpisodes: Type.Integer({
        minimum: 0,
        description: 'Number of episodes deleted by age since the artifact was trained on them.',
      }),
      available: Type.Boolean({
        description: 'Whether the bytes are still stored. A version without them cannot be activated.',
      }),
      createdAt: Type.String({ format: 'date-time' }),
      consolidationId: Id,
      reason: Reason,
      metrics: Metrics,
      baseline: Metrics,
      features: Features,
      episodes: Type.Integer({
        minimum: 0,
        description: 'Number of episodes that the artifact was trained on.',
      }),
    },
    {
      $id: 'Artifact',
      description: 'A version of the latent reward model or the latent weaver, trained by a consolidation.',
    },
  ),
)

export const ArtifactList = Type.Object(
  { artifacts: Type.Array(ref(ArtifactSchema)) },
  { $id: 'ArtifactList', description: 'Artifacts of all models, newest first.' },
)

export const ArtifactQuery = Type.Object(
  {
    kind: Type.Optional(ref(ArtifactKind)),
    limit: Type.Optional(
      Type.Integer({ minimum: 1, maximum: 100, default: 20, description: 'Maximum number of artifacts.' }),
    ),
  },
  closed,
)

export const ArtifactParams = Type.Object({ id: Id }, { ...closed, ...missing('ARTIFACT_NOT_FOUND') })

/** Body of an activation; null when the request has none. */
export const ActivationRequest = Type.Union([
  Type.Object(
    {
      force: Type.Optional(
        Type.Boolean({
          default: false,
          description: 'Activate the version although it has not passed the gate.',
        }),
      ),
    },
    closed,
  ),
  Type.Null(),
])

/** Body of a rejection; null when the request has none. */
export const RejectionRequest = Type.Union([
  Type.Object(
    {
      reason: Type.Optional(
        Type.String({ minLength: 1, maxLength: 500, description: 'Reason, added to that of the gate.' }),
      ),
    },
    closed,
  ),
  Type.Null(),
])

export function toArtifact({ reason, ...artifact }: artifacts.Artifact): Artifact {
  return { ...artifact, ...(reason !== null && { reason }) }
}
