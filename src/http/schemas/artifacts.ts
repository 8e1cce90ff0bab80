/** @file What nights have made, as operators see it. Its bytes never leave the service. */

import { type Static, Type } from 'typebox'
import * as artifacts from '#artifacts'
import { missing } from './path-ids.ts'
import { Count, closed, Id, OneOf } from './primitives.ts'
import { ref } from './ref.ts'
import { sameAs } from './same-as.ts'

export const ArtifactKind = OneOf(artifacts.ARTIFACT_KINDS, {
  $id: 'ArtifactKind',
  description: '`lrm`: the latent reward model; `weaver`: the latent weaver.',
})

export const Metric = sameAs<artifacts.Metric>()(
  Type.Object(
    {
      value: Type.Number(),
      n: Type.Integer({ minimum: 0, description: 'What it was measured on.' }),
      low: Type.Optional(Type.Number({ description: 'Of its 95 % interval.' })),
      high: Type.Optional(Type.Number()),
    },
    { $id: 'Metric', description: 'A measured figure, and how sure it is.' },
  ),
)

export const Metrics = Type.Unsafe<Record<string, Static<typeof Metric>>>(
  Type.Object({}, { additionalProperties: ref(Metric) }),
)

const Features = Type.Unsafe<Record<string, number | string>>(
  Type.Object({}, { additionalProperties: Type.Union([Type.Number(), Type.String()]) }),
)

export const Version = Type.String({ description: 'Counted by kind and model.', examples: ['lrm-3'] })

/** What a verdict gives as its reason; there is none where nothing needs one. */
export const Reason = Type.Optional(Type.String({ description: 'Why, in words.' }))

/** As the store's, but for a reason that is not there. */
type Artifact = Omit<artifacts.Artifact, 'reason'> & { readonly reason?: string }

export const ArtifactSchema = sameAs<Artifact>()(
  Type.Object(
    {
      id: Id,
      kind: ref(ArtifactKind),
      version: Version,
      fingerprint: Type.String({ description: 'Of the model that it belongs to.' }),
      sha256: Type.String(),
      bytes: Count,
      status: OneOf(['candidate', 'promoted', 'rejected'], { description: 'The gate’s word.' }),
      active: Type.Boolean({ description: 'It serves now.' }),
      stale: Type.Boolean({ description: 'An episode that it was trained on has been deleted.' }),
      createdAt: Type.String({ format: 'date-time' }),
      consolidationId: Id,
      reason: Reason,
      metrics: Metrics,
      baseline: Metrics,
      features: Features,
      episodes: Type.Integer({ minimum: 0, description: 'Episodes that it was trained on.' }),
    },
    { $id: 'Artifact', description: 'A version of what nights learn.' },
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
      Type.Integer({ minimum: 1, maximum: 100, default: 20, description: 'Artifacts at most.' }),
    ),
  },
  closed,
)

export const ArtifactParams = Type.Object({ id: Id }, { ...closed, ...missing('ARTIFACT_NOT_FOUND') })

export function toArtifact({ reason, ...artifact }: artifacts.Artifact): Artifact {
  return { ...artifact, ...(reason !== null && { reason }) }
}
