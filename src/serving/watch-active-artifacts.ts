/** @file What nights have taught, kept current: every process looks for itself which versions are active. */

import { setTimeout as delay } from 'node:timers/promises'
import { identityWeaver } from '#algorithms'
import type { Artifact, ArtifactStore } from '#artifacts'
import type { Engine } from '#engine'
import { coerceError, ServiceError } from '#errors'
import { type ActiveModels, NO_TRAINED_MODELS } from './active-models.ts'
import { openRewardModelArtifact, openWeaverArtifact } from './open-artifact.ts'
import { trackActiveVersion, type WatcherLogger } from './track-active-version.ts'

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

/**
 * Follows the active artifacts of the engine's model: a version that becomes active is loaded beside the one that serves, takes
 * its place between two requests, and the old one is closed when its last user is done. While the database is away, or when the new
 * version is refused, the old one serves on; either is said once.
 */
export function watchActiveArtifacts({
  artifacts,
  engine,
  logger,
  pollMs = 2_000,
}: WatchOptions): ArtifactWatcher {
  const { fingerprint } = engine.model
  const closing = new AbortController()
  const rewardModel = trackActiveVersion({
    ...{ kind: 'lrm', artifacts, logger },
    async open(artifact, bytes) {
      checkShape(artifact, { layers: engine.thoughtLayers, width: engine.hiddenSize })
      return openRewardModelArtifact(engine.graphs, artifact, bytes)
    },
  })
  const weaver = trackActiveVersion({
    ...{ kind: 'weaver', artifacts, logger },
    async open(artifact, bytes) {
      checkShape(artifact, { width: engine.hiddenSize })
      return openWeaverArtifact(engine.graphs, artifact, bytes)
    },
  })
  const followed = [rewardModel, weaver]
  let models: ActiveModels = NO_TRAINED_MODELS
  let isOut = false

  function current(): ActiveModels {
    const [scoring, weaving] = [rewardModel.served(), weaver.served()]
    return {
      weaver:
        weaving === null
          ? identityWeaver
          : {
              version: weaving.artifact.version,
              apply: (rows) => weaving.model.use((model) => model.apply(rows)),
            },
      rewardModel:
        scoring === null
          ? null
          : {
              version: scoring.artifact.version,
              score: (thoughts) => scoring.model.use((model) => model.score(thoughts)),
            },
    }
  }

  async function look(): Promise<void> {
    if (closing.signal.aborted) return
    try {
      const active = await artifacts.active(fingerprint)
      // Each for itself: one that cannot be loaded right now keeps nobody from following the other.
      const followings = await Promise.allSettled([
        rewardModel.follow(active.lrm),
        weaver.follow(active.weaver),
      ])
      models = current()
      for (const following of followings) if (following.status === 'rejected') throw following.reason
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
      { kind: 'lrm', ...statusOf(rewardModel) },
      { kind: 'weaver', ...statusOf(weaver) },
    ],
    refresh,
    async close() {
      closing.abort()
      await polling
      await Promise.all(followed.map((one) => one.close()))
    },
  }
}

function statusOf({
  served,
  refused,
}: {
  served(): { readonly artifact: Artifact } | null
  refused(): Artifact | null
}) {
  return { serving: served()?.artifact.version ?? null, refused: refused()?.version ?? null }
}

/** Of one model, but of thoughts or latents that a later release takes otherwise. */
function checkShape({ version, features }: Artifact, expected: Readonly<Record<string, number>>): void {
  const odd = Object.keys(expected).find((name) => features[name] !== expected[name])
  if (odd === undefined) return
  throw new ServiceError(
    'ARTIFACT_INVALID',
    `load ${version}: expected ${odd} ${expected[odd]}, got ${features[odd]}`,
  )
}
