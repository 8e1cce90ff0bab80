/** @file One kind of artifact as this process serves it: what is active is loaded, swapped in, and let go of. */

import type { Artifact, ArtifactStore } from '#artifacts'
import { coerceError, hasCode } from '#errors'
import { type RefCountedModel, refCountModel } from './ref-count-model.ts'

/** The part of a pino logger that this uses. */
export interface WatcherLogger {
  info(details: object, message: string): void
  warn(details: object, message: string): void
}

interface Closable {
  close(): Promise<void>
}

export interface TrackOptions<Model> {
  readonly kind: Artifact['kind']
  readonly artifacts: Pick<ArtifactStore, 'bytes'>
  /** @throws ServiceError ARTIFACT_INVALID for what cannot serve here */
  readonly open: (artifact: Artifact, bytes: Uint8Array) => Promise<Model>
  readonly logger: WatcherLogger
}

interface Served<Model> {
  readonly artifact: Artifact
  readonly model: RefCountedModel<Model>
}

export interface TrackedVersion<Model> {
  /** What serves; null: nothing does. */
  served(): Served<Model> | null
  /** The active version, where it is damaged or does not fit: what served before serves on. */
  refused(): Artifact | null
  /**
   * Serves the active version, loaded beside the one that served, which is closed when its last user is done.
   * @throws ServiceError what keeps it from being read or loaded, but for ARTIFACT_INVALID
   */
  follow(active: Artifact | undefined): Promise<void>
  /** Lets go of what is loaded. */
  close(): Promise<void>
}

export function trackActiveVersion<Model extends Closable>({
  kind,
  artifacts,
  open,
  logger,
}: TrackOptions<Model>): TrackedVersion<Model> {
  let served: Served<Model> | null = null
  let refused: Artifact | null = null

  function serve(next: Served<Model> | null): void {
    const previous = served
    served = next
    logger.info({ [kind]: next?.artifact.version ?? null }, 'another version serves')
    void previous?.model.retire()
  }

  return {
    served: () => served,
    refused: () => refused,
    async follow(active) {
      if (active?.id !== refused?.id) refused = null
      if (active?.id === served?.artifact.id || refused !== null) return
      if (active === undefined) return serve(null)
      try {
        const bytes = await artifacts.bytes(active.id)
        serve({ artifact: active, model: await refCountModel(() => open(active, bytes)) })
      } catch (thrown) {
        if (!hasCode(thrown, 'ARTIFACT_INVALID')) throw thrown
        refused = active
        logger.warn(
          { err: coerceError(thrown), refused: active.version, [kind]: served?.artifact.version ?? null },
          'the active version cannot serve: what served before serves on',
        )
      }
    },
    close: async () => served?.model.retire(),
  }
}
