/** @file Artifacts for tests. */

import type { ArtifactManifest, NewArtifact } from '#artifacts'

export function newArtifact(
  consolidationId: string,
  over: Partial<Omit<NewArtifact, 'manifest'>> & { readonly manifest?: Partial<ArtifactManifest> } = {},
): NewArtifact {
  return {
    consolidationId,
    bytes: Uint8Array.from({ length: 300 }, (_, index) => index % 256),
    metrics: { auc: { value: 0.91, n: 640, low: 0.88, high: 0.94 }, ece: { value: 0.03, n: 640 } },
    baseline: {},
    ...over,
    manifest: {
      kind: 'lrm',
      fingerprint: 'model-1',
      codeVersion: '1.0.0',
      seed: 7,
      features: { layers: 5, width: 128, pooling: 'mean' },
      options: { epochs: 3, lr: 1e-3, nested: { list: [1, 2] } },
      episodes: [],
      ...over.manifest,
    },
  }
}
