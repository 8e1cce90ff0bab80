/**
 * @file Keeps the models of this process current: polls the artifact store for the active versions and
 * switches to them.
 */

import { setTimeout as delay } from 'node:timers/promises'
import { besideRewardModel, identityWeaver, isFittedWith } from '#algorithms'
import type { Artifact, ArtifactStore, LearningStore } from '#artifacts'
import type { Engine } from '#engine'
import { coerceError, ServiceError } from '#errors'
import { type ActiveModels, NO_TRAINED_MODELS } from './active-models.ts'
import {
  openJudgeArtifact,
  openRewardModelArtifact,
  openWeaverArtifact,
  rewardModelForm,
} from './open-artifact.ts'
import { type TrackedVersion, trackActiveVersion, type WatcherLogger } from './track-active-version.ts'

export interface WatchOptions {
  readonly artifacts: Pick<ArtifactStore, 'active' | 'bytes'>
  /** Read at every poll, for `isFrozen`; never frozen unless given. */
  readonly learning?: Pick<LearningStore, 'state'>
  readonly engine: Pick<Engine, 'model' | 'graphs' | 'thoughtLayers' | 'scoredLayers' | 'hiddenSize'>
  readonly logger: WatcherLogger
  /** Pause between two polls, in ms; 2,000 unless given. */
  readonly pollMs?: number
}

/** Versions of one artifact kind in this process. */
export interface ActiveVersionStatus {
  readonly kind: Artifact['kind']
  /** Version in use; null: none, so the stand-in is used. */
  readonly serving: string | null
  /** Form of the reward model in use; null for none, and for the weaver. */
  readonly form: string | null
  /**
   * Active version that cannot be loaded (damaged or of other sizes), so `serving` stays in use; null when
   * there is none.
   */
  readonly refused: string | null
}

export interface ArtifactWatcher {
  /**
   * Models in use now. A request reads them once at its start; they stay usable to its end, also when
   * versions are swapped meanwhile.
   */
  current(): ActiveModels
  status(): readonly ActiveVersionStatus[]
  /** Whether learning was frozen at the last poll that could read it; false before the first. */
  isFrozen(): boolean
  /** Polls now. Never rejects: when the store or a version cannot be read, the models in use stay. */
  refresh(): Promise<void>
  /** Stops polling and closes the loaded models. Idempotent. */
  close(): Promise<void>
}

/**
 * Follows the active artifacts of the engine's model. A version that becomes active is loaded beside the one
 * in use and replaces it between two requests; the old one is closed after its last user has finished. While
 * the database is unavailable, or when the new version is refused, the old one stays in use; each is logged
 * once.
 */
export function watchActiveArtifacts({
  artifacts,
  learning,
  engine,
  logger,
  pollMs = 2_000,
}: WatchOptions): ArtifactWatcher {
  const { fingerprint } = engine.model
  const closing = new AbortController()
  const rewardModel = trackActiveVersion({
    kind: 'lrm',
    artifacts,
    logger,
    async open(artifact, bytes) {
      const layers = rewardModelForm(artifact) === 'mean' ? engine.thoughtLayers : engine.scoredLayers
      checkSizes(artifact, { layers, width: engine.hiddenSize })
      return openRewardModelArtifact(engine.graphs, artifact, bytes)
    },
  })
  const weaver = trackActiveVersion({
    kind: 'weaver',
    artifacts,
    logger,
    async open(artifact, bytes) {
      checkSizes(artifact, { width: engine.hiddenSize })
      return openWeaverArtifact(engine.graphs, artifact, bytes)
    },
  })
  const judge = trackActiveVersion({
    kind: 'judge',
    artifacts,
    logger,
    async open(artifact, bytes) {
      const { judgeFingerprint } = engine.model
      return { ...openJudgeArtifact(artifact, bytes, judgeFingerprint), close: async () => {} }
    },
  })
  let models: ActiveModels = NO_TRAINED_MODELS
  let isStale = false
  /** Judge and reward model that do not belong together, as last logged. */
  let apart: string | null = null
  let isFrozen = false

  async function loadedModels(): Promise<ActiveModels> {
    const [loadedRewardModel, loadedWeaver] = [rewardModel.loaded(), weaver.loaded()]
    const tokenMaps = await loadedRewardModel?.model.use(async (model) => model.tokenMaps)
    const loadedJudge = judge.loaded()
    const policy = await loadedJudge?.model.use(async (model) => model.policy)
    return {
      weaver:
        loadedWeaver === null
          ? identityWeaver
          : {
              version: loadedWeaver.artifact.version,
              apply: (rows) => loadedWeaver.model.use((model) => model.apply(rows)),
            },
      rewardModel:
        loadedRewardModel === null
          ? null
          : {
              version: loadedRewardModel.artifact.version,
              ...(tokenMaps && { tokenMaps }),
              score: (thoughts) => loadedRewardModel.model.use((model) => model.score(thoughts)),
            },
      judge:
        loadedJudge === null
          ? null
          : besideRewardModel(
              {
                version: loadedJudge.artifact.version,
                policy: policy ?? null,
                score: (answers) => loadedJudge.model.use((model) => model.score(answers)),
              },
              loadedJudge.artifact.features['rewardModel'],
              loadedRewardModel?.artifact.version ?? null,
            ),
    }
  }

  async function pollOnce(): Promise<void> {
    if (closing.signal.aborted) return
    try {
      await readFreeze()
      const active = await artifacts.active(fingerprint)
      // The kinds are independent: when one fails to load, the other still switches.
      const switches = await Promise.allSettled([
        rewardModel.switchTo(active.lrm),
        weaver.switchTo(active.weaver),
        judge.switchTo(active.judge),
      ])
      models = await loadedModels()
      warnWhereApart()
      for (const result of switches) if (result.status === 'rejected') throw result.reason
      if (isStale) logger.info({}, 'active versions readable again')
      isStale = false
    } catch (thrown) {
      if (!isStale) {
        logger.warn({ err: coerceError(thrown) }, 'active versions unavailable: keeping the loaded ones')
      }
      isStale = true
    }
  }

  /** Logs once that the active judge was fitted with another reward model than the active one. */
  function warnWhereApart(): void {
    const fittedWith = judge.loaded()?.artifact.features['rewardModel']
    const { version = null } = models.rewardModel ?? {}
    const pair = isFittedWith(fittedWith, version) ? null : `${models.judge?.version} ${version}`
    if (pair !== null && pair !== apart) {
      const details = { judge: models.judge?.version, fittedWith, rewardModel: version }
      logger.warn(details, 'fused judge was fitted with another reward model: its estimates are withheld')
    }
    apart = pair
  }

  async function readFreeze(): Promise<void> {
    if (learning === undefined) return
    const { frozenSince, reason } = await learning.state()
    if (isFrozen === (frozenSince !== null)) return
    isFrozen = frozenSince !== null
    if (isFrozen) logger.warn({ since: frozenSince, reason }, 'learning frozen: answering without episodes')
    else logger.info({}, 'learning resumed')
  }

  /** Polls run one after the other. */
  let lastPoll: Promise<void> = Promise.resolve()
  function refresh(): Promise<void> {
    lastPoll = lastPoll.then(pollOnce)
    return lastPoll
  }

  async function pollUntilClosed(): Promise<void> {
    while (!closing.signal.aborted) {
      await delay(pollMs, undefined, { signal: closing.signal }).catch(() => {})
      await refresh()
    }
  }
  const polling = pollUntilClosed()

  return {
    current: () => models,
    status: () => [statusOf('lrm', rewardModel), statusOf('weaver', weaver), statusOf('judge', judge)],
    isFrozen: () => isFrozen,
    refresh,
    async close() {
      closing.abort()
      await polling
      await Promise.all([rewardModel.close(), weaver.close(), judge.close()])
    },
  }
}

function statusOf(
  kind: Artifact['kind'],
  { loaded, refused }: Pick<TrackedVersion<unknown>, 'loaded' | 'refused'>,
): ActiveVersionStatus {
  const artifact = loaded()?.artifact
  return {
    kind,
    serving: artifact?.version ?? null,
    form: artifact?.kind === 'lrm' ? rewardModelForm(artifact) : null,
    refused: refused()?.version ?? null,
  }
}

/**
 * Refuses an artifact of the engine's model whose sizes differ from the engine's, e.g. one written by a
 * newer release.
 */
function checkSizes({ version, features }: Artifact, expected: Readonly<Record<string, number>>): void {
  const odd = Object.keys(expected).find((name) => features[name] !== expected[name])
  if (odd === undefined) return
  throw new ServiceError(
    'ARTIFACT_INVALID',
    `load ${version}: expected ${odd} ${expected[odd]}, got ${features[odd]}`,
  )
}
