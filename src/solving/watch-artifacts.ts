/** @file What nights have taught, kept current: every process looks for itself which versions are active. */

import { setTimeout as delay } from 'node:timers/promises'
import { identityWeaver, type OpenRewardModel } from '#algorithms'
import type { Artifact, ArtifactStore } from '#artifacts'
import type { Engine } from '#engine'
import { coerceError, hasCode, ServiceError } from '#errors'
import { type ActiveModels, NOTHING_LEARNED } from './active-models.ts'
import { openLrm } from './open-lrm.ts'
import { type SharedModel, shareModel } from './share-model.ts'

/** The part of a pino logger that this uses. */
interface WatcherLogger {
  info(details: object, message: string): void
  warn(details: object, message: string): void
}

export interface WatchOptions {
  readonly artifacts: Pick<ArtifactStore, 'active' | 'bytes'>
  readonly engine: Pick<Engine, 'model' | 'graphs' | 'thoughtLayers' | 'hiddenSize'>
  readonly logger: WatcherLogger
  /** Milliseconds between two looks. */
  readonly pollMs?: number
}

/** What serves in this process, and what should but cannot. */
export interface LearnedStatus {
  readonly kind: Artifact['kind']
  /** null: none, or its stand-in. */
  readonly serving: string | null
  /** The active version, where it is damaged or does not fit: `serving` stays. */
  readonly refused: string | null
}

export interface ArtifactWatcher {
  /** What serves now: taken once at the start of a request, it stays usable to its end, whatever comes in between. */
  current(): ActiveModels
  status(): readonly LearnedStatus[]
  /** Looks now. Never rejects: what cannot be read or loaded leaves everything as it is. */
  refresh(): Promise<void>
  /** Stops looking and lets go of what is loaded. Idempotent. */
  close(): Promise<void>
}

interface Served {
  readonly artifact: Artifact
  readonly model: SharedModel<OpenRewardModel>
}

/**
 * Follows the active artifacts of the engine's model: a version that becomes active is loaded beside the one that serves, takes
 * its place between two requests, and the old one is closed when its last user is done. While the database is away, or when the new
 * version is refused, the old one serves on; either is said once.
 */
export function watchArtifacts({ artifacts, engine, logger, pollMs = 2_000 }: WatchOptions): ArtifactWatcher {
  const { fingerprint } = engine.model
  const closing = new AbortController()
  let models: ActiveModels = NOTHING_LEARNED
  let served: Served | null = null
  let refused: Artifact | null = null
  let isOut = false

  function serve(next: Served | null): void {
    const previous = served
    served = next
    // A weaver will stand here in the place of the identity.
    models = { weaver: identityWeaver, lrm: next === null ? null : asRewardModel(next) }
    logger.info({ lrm: next?.artifact.version ?? null }, 'another version serves')
    void previous?.model.retire()
  }

  async function follow(active: Artifact | undefined): Promise<void> {
    if (active?.id !== refused?.id) refused = null
    if (active?.id === served?.artifact.id || refused !== null) return
    if (active === undefined) return serve(null)
    try {
      const bytes = await artifacts.bytes(active.id)
      checkShape(active, engine)
      serve({ artifact: active, model: await shareModel(() => openLrm(engine.graphs, active, bytes)) })
    } catch (thrown) {
      if (!hasCode(thrown, 'ARTIFACT_INVALID')) throw thrown
      refused = active
      logger.warn(
        { err: coerceError(thrown), refused: active.version, lrm: served?.artifact.version ?? null },
        'the active version cannot serve: what served before serves on',
      )
    }
  }

  async function look(): Promise<void> {
    if (closing.signal.aborted) return
    try {
      const { lrm } = await artifacts.active(fingerprint)
      await follow(lrm)
      if (isOut) logger.info({}, 'active versions are known again')
      isOut = false
    } catch (thrown) {
      if (!isOut)
        logger.warn({ err: coerceError(thrown) }, 'active versions not known: what serves serves on')
      isOut = true
    }
  }

  let looking: Promise<void> = Promise.resolve()
  function refresh(): Promise<void> {
    looking = looking.then(look)
    return looking
  }

  async function poll(): Promise<void> {
    while (!closing.signal.aborted) {
      await delay(pollMs, undefined, { signal: closing.signal }).catch(() => {})
      await refresh()
    }
  }
  const polling = poll()

  return {
    current: () => models,
    status: () => [
      {
        kind: 'lrm',
        serving: served?.artifact.version ?? null,
        refused: refused?.version ?? null,
      },
    ],
    refresh,
    async close() {
      closing.abort()
      await polling
      await served?.model.retire()
    },
  }
}

function asRewardModel({ artifact, model }: Served): ActiveModels['lrm'] {
  return { version: artifact.version, score: (thoughts) => model.use((lrm) => lrm.score(thoughts)) }
}

/** Of one model, but of thoughts that a later release takes otherwise. */
function checkShape(
  { version, features }: Artifact,
  { thoughtLayers, hiddenSize }: WatchOptions['engine'],
): void {
  if (features['layers'] === thoughtLayers && features['width'] === hiddenSize) return
  throw new ServiceError(
    'ARTIFACT_INVALID',
    `load ${version}: expected a model of thoughts [${thoughtLayers}, ${hiddenSize}], got one of [${features['layers']}, ${features['width']}]`,
  )
}
