/**
 * @file The version of one artifact kind that this process has loaded: switches to the active version, keeps
 * the old one on failure.
 */

import type { Artifact, ArtifactStore } from '#artifacts'
import { coerceError, hasCode } from '#errors'
import { type RefCountedModel, refCountModel } from './ref-count-model.ts'

/** Subset of a pino logger. */
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
  /**
   * Loads a version.
   *
   * @throws ServiceError ARTIFACT_INVALID when the version is damaged or does not fit the engine's model
   */
  readonly open: (artifact: Artifact, bytes: Uint8Array) => Promise<Model>
  readonly logger: WatcherLogger
}

interface LoadedVersion<Model> {
  readonly artifact: Artifact
  readonly model: RefCountedModel<Model>
}

export interface TrackedVersion<Model> {
  /** Version in use; null when none is loaded. */
  loaded(): LoadedVersion<Model> | null
  /**
   * Active version that cannot be loaded (damaged or of other sizes); null when there is none. `loaded`
   * stays in use.
   */
  refused(): Artifact | null
  /**
   * Switches to the active version (undefined: none): loads it beside the one in use, which is closed after
   * its last user has finished. Does nothing for the version in use, and for a version that was refused
   * before.
   *
   * @throws ServiceError any error of reading or loading except ARTIFACT_INVALID, which marks the version as
   *   refused.
   */
  switchTo(active: Artifact | undefined): Promise<void>
  /** Retires the version in use. */
  close(): Promise<void>
}

export function trackActiveVersion<Model extends Closable>({
  kind,
  artifacts,
  open,
  logger,
}: TrackOptions<Model>): TrackedVersion<Model> {
  let loaded: LoadedVersion<Model> | null = null
  let refused: Artifact | null = null

  function replaceWith(next: LoadedVersion<Model> | null): void {
    const previous = loaded
    loaded = next
    logger.info({ [kind]: next?.artifact.version ?? null }, 'active version changed')
    void previous?.model.retire()
  }

  return {
    loaded: () => loaded,
    refused: () => refused,
    async switchTo(active) {
      if (active?.id !== refused?.id) refused = null
      if (active?.id === loaded?.artifact.id || refused !== null) return
      if (active === undefined) return replaceWith(null)
      try {
        const bytes = await artifacts.bytes(active.id)
        replaceWith({ artifact: active, model: await refCountModel(() => open(active, bytes)) })
      } catch (thrown) {
        if (!hasCode(thrown, 'ARTIFACT_INVALID')) throw thrown
        refused = active
        logger.warn(
          { err: coerceError(thrown), refused: active.version, [kind]: loaded?.artifact.version ?? null },
          'active version cannot be loaded: keeping the previous one',
        )
      }
    },
    close: async () => loaded?.model.retire(),
  }
}
