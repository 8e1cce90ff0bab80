import { setTimeout as delay } from 'node:timers/promises'
import { afterEach, beforeEach, expect, suite, test, vi } from 'vitest'
import type { Artifact } from '#artifacts'
import { ServiceError } from '#errors'
import { createModel, createTape, encodeModel, ints, value } from '#onnx'
import type { LatentThought } from '#ports'
import { type ArtifactWatcher, watchActiveArtifacts } from '#serving'
import { float32 } from '#tensor'
import { refCountModel } from '../../../src/serving/ref-count-model.ts'
import { graphRunner } from '../../support/graph-runner.ts'
import { ARTIFACT } from '../../support/http-app.ts'

const LAYERS = 3
const WIDTH = 4
const THOUGHT: LatentThought = {
  data: new Float32Array(LAYERS * WIDTH).fill(1),
  layers: LAYERS,
  width: WIDTH,
}

/** A reward model that scores every thought `p`. */
function scoring(p: number): Uint8Array {
  const tape = createTape(['thoughts'])
  const nothing = tape.op('Mul', ['thoughts', tape.constant(float32(0))])
  const mean = tape.op('ReduceMean', [nothing], { axes: ints([1, 2]) })
  const rows = tape.op('Squeeze', [
    mean,
    tape.constant({ dtype: 'int64', data: BigInt64Array.of(1n, 2n), shape: [2] }),
  ])
  tape.outputs(['probability'], 'Add', [rows, tape.constant(float32(p))])
  return encodeModel(
    createModel(
      tape.graph({
        name: 'constant',
        inputs: [value('thoughts', 'float32', ['N', LAYERS, WIDTH])],
        outputs: [value('probability', 'float32', ['N'])],
      }),
      { '': 17 },
    ),
  )
}

function version(number: number, over: Partial<Artifact> = {}): Artifact {
  return {
    ...ARTIFACT,
    id: `artifact-${number}`,
    version: `lrm-${number}`,
    features: { layers: LAYERS, width: WIDTH },
    ...over,
  }
}

const NO_WEAVER = { kind: 'weaver', serving: null, form: null, refused: null }
const NO_JUDGE = { kind: 'judge', serving: null, form: null, refused: null }
const POSITIONS = 2

/** A weaver that adds `by` to every latent. */
function adding(by: number): Uint8Array {
  const tape = createTape(['embedding', 'z_base', 'mask'])
  tape.outputs(['z'], 'Add', ['z_base', tape.constant(float32(by))])
  const rows = ['N', POSITIONS, WIDTH] as const
  return encodeModel(
    createModel(
      tape.graph({
        name: 'adding',
        inputs: [
          value('embedding', 'float32', ['N', WIDTH]),
          value('z_base', 'float32', rows),
          value('mask', 'float32', ['N', POSITIONS]),
        ],
        outputs: [value('z', 'float32', rows)],
      }),
      { '': 17 },
    ),
  )
}

function weaver(number: number, over: Partial<Artifact> = {}): Artifact {
  return version(number, {
    kind: 'weaver',
    id: `weaver-${number}`,
    version: `weaver-${number}`,
    features: { latents: POSITIONS, width: WIDTH },
    ...over,
  })
}

/** Contents of the artifact store; tests change them. */
let store: {
  active: Artifact | undefined
  weaver: Artifact | undefined
  judge?: Artifact
  bytes: Map<string, Uint8Array>
  isAway: boolean
  frozenSince: string | null
}
let runner: ReturnType<typeof graphRunner>
let logged: string[]
let watcher: ArtifactWatcher

function watch(pollMs = 60_000): ArtifactWatcher {
  const log = (_details: object, message: string) => void logged.push(message)
  const away = () => new ServiceError('STORE_UNAVAILABLE', 'artifacts: expected a database, got none')
  watcher = watchActiveArtifacts({
    pollMs,
    logger: { info: log, warn: log },
    engine: {
      graphs: runner,
      thoughtLayers: LAYERS,
      scoredLayers: 2,
      hiddenSize: WIDTH,
      model: { fingerprint: 'f00d', judgeFingerprint: 'judge of today' } as never,
    },
    learning: {
      async state() {
        if (store.isAway) throw away()
        return { frozenSince: store.frozenSince, reason: null }
      },
    },
    artifacts: {
      async active(fingerprint) {
        if (store.isAway) throw away()
        const { weaver } = store
        return {
          ...(store.active?.fingerprint === fingerprint && { lrm: store.active }),
          ...(weaver?.fingerprint === fingerprint && { weaver }),
          ...(store.judge?.fingerprint === fingerprint && { judge: store.judge }),
        }
      },
      async bytes(id) {
        if (store.isAway) throw away()
        const bytes = store.bytes.get(id)
        if (bytes === undefined) throw new ServiceError('ARTIFACT_INVALID', `read ${id}: it is damaged`)
        return bytes
      },
    },
  })
  return watcher
}

function activate(artifact: Artifact, bytes: Uint8Array | null): void {
  store.active = artifact
  if (bytes !== null) store.bytes.set(artifact.id, bytes)
}

const serving = async () => {
  const { rewardModel } = watcher.current()
  const [score] = rewardModel === null ? [] : await rewardModel.score([THOUGHT])
  return [rewardModel?.version ?? null, score === undefined ? null : Number(score.toFixed(3))]
}

beforeEach(() => {
  store = { active: undefined, weaver: undefined, bytes: new Map(), isAway: false, frozenSince: null }
  runner = graphRunner()
  logged = []
})
afterEach(async () => {
  await watcher?.close()
  expect(runner.open()).toBe(0)
})

suite('watchActiveArtifacts', () => {
  test('uses stand-ins until a version is active, then each active version in turn', async () => {
    const { refresh } = watch()
    await refresh()
    expect(await serving()).toEqual([null, null])
    activate(version(1), scoring(0.25))
    await refresh()
    expect(await serving()).toEqual(['lrm-1', 0.25])
    activate(version(2), scoring(0.75))
    await refresh()
    expect(await serving()).toEqual(['lrm-2', 0.75])
    activate(version(1), null)
    await refresh()
    expect(await serving()).toEqual(['lrm-1', 0.25])
    await vi.waitFor(() => expect(runner.open()).toBe(1))
    store.active = undefined
    await refresh()
    expect(await serving()).toEqual([null, null])
    await vi.waitFor(() => expect(runner.open()).toBe(0))
  })

  test('swaps the active weaver and the reward model independently', async () => {
    const { refresh, current, status } = watch()
    const woven = async ({ weaver } = current()) => {
      const zBase = { data: new Float32Array(3 * WIDTH), length: 3, width: WIDTH }
      const [z] = await weaver.apply([{ embedding: new Float32Array(WIDTH), zBase }])
      // The first position that the weaver knows, and the first beyond those.
      return [weaver.version, z!.data[0], z!.data[POSITIONS * WIDTH]]
    }
    expect(await woven()).toEqual([null, 0, 0])
    activate(version(1), scoring(0.25))
    store.weaver = weaver(1)
    store.bytes.set('weaver-1', adding(0.5))
    await refresh()
    const taken = current()
    expect(await woven()).toEqual(['weaver-1', 0.5, 0])
    store.weaver = weaver(2)
    store.bytes.set('weaver-2', adding(2))
    await refresh()
    expect(await woven()).toEqual(['weaver-2', 2, 0])
    expect(await woven(taken)).toEqual(['weaver-1', 0.5, 0])
    expect(await serving()).toEqual(['lrm-1', 0.25])

    for (const broken of [
      weaver(3, { features: { latents: POSITIONS, width: 8 } }),
      weaver(4, { features: { width: WIDTH } }),
      weaver(5),
    ]) {
      store.weaver = broken
      if (broken.version !== 'weaver-5') store.bytes.set(broken.id, adding(1))
      await refresh()
      expect(await woven()).toEqual(['weaver-2', 2, 0])
      expect(status()[1]).toEqual({
        kind: 'weaver',
        serving: 'weaver-2',
        form: null,
        refused: broken.version,
      })
    }
    // A broken weaver does not keep the reward model from switching.
    activate(version(2), scoring(0.75))
    await refresh()
    expect(await serving()).toEqual(['lrm-2', 0.75])
    store.weaver = undefined
    await refresh()
    expect(await woven()).toEqual([null, 0, 0])
    await vi.waitFor(() => expect(runner.open()).toBe(1))
  })

  test('polls without being asked', async () => {
    watch(20)
    activate(version(1), scoring(0.5))
    await vi.waitFor(async () => expect(await serving()).toEqual(['lrm-1', 0.5]), { timeout: 5_000 })
  })

  test('models read at the start of a request stay usable after any number of swaps', async () => {
    const { refresh, current } = watch()
    activate(version(1), scoring(0.25))
    await refresh()
    const taken = current()
    const scores = Array.from({ length: 20 }, () => taken.rewardModel!.score([THOUGHT]))
    for (const next of [2, 3]) {
      activate(version(next), scoring(next / 8))
      await refresh()
    }
    for (const [score] of await Promise.all(scores)) expect(score).toBeCloseTo(0.25)
    await vi.waitFor(() => expect(runner.open()).toBe(1))
    expect((await taken.rewardModel!.score([THOUGHT]))[0]).toBeCloseTo(0.25)
    await vi.waitFor(() => expect(runner.open()).toBe(1))
    expect(await serving()).toEqual(['lrm-3', 0.375])
  })

  test.each<[string, Artifact, Uint8Array | null]>([
    ['whose bytes are damaged', version(2), null],
    ['that is no ONNX file', version(2), Uint8Array.of(1, 2, 3)],
    ['that scores outside [0, 1]', version(2), scoring(1.5)],
    ['for thoughts of other layers', version(2, { features: { layers: 5, width: WIDTH } }), scoring(0.5)],
    ['for thoughts of another width', version(2, { features: { layers: LAYERS, width: 8 } }), scoring(0.5)],
    ['without the sizes of its thoughts', version(2, { features: {} }), scoring(0.5)],
  ])('refuses a version %s, once, and keeps the previous one', async (_name, broken, bytes) => {
    const { refresh, status } = watch()
    activate(version(1), scoring(0.25))
    await refresh()
    activate(broken, bytes)
    for (let poll = 0; poll < 3; poll++) await refresh()
    expect(await serving()).toEqual(['lrm-1', 0.25])
    expect(status()).toEqual([
      { kind: 'lrm', serving: 'lrm-1', form: 'mean', refused: 'lrm-2' },
      NO_WEAVER,
      NO_JUDGE,
    ])
    expect(logged).toEqual([
      'active version changed',
      'active version cannot be loaded: keeping the previous one',
    ])
    activate(version(3), scoring(0.5))
    await refresh()
    expect(await serving()).toEqual(['lrm-3', 0.5])
    expect(status()).toEqual([
      { kind: 'lrm', serving: 'lrm-3', form: 'mean', refused: null },
      NO_WEAVER,
      NO_JUDGE,
    ])
  })

  test('ignores artifacts of another model', async () => {
    const { refresh } = watch()
    activate(version(1, { fingerprint: 'cafe' }), scoring(0.5))
    await refresh()
    expect(await serving()).toEqual([null, null])
  })

  test('keeps the loaded versions while the database is unavailable, and logs it once', async () => {
    const { refresh } = watch()
    activate(version(1), scoring(0.25))
    await refresh()
    store.isAway = true
    activate(version(2), scoring(0.75))
    for (let poll = 0; poll < 3; poll++) await refresh()
    expect(await serving()).toEqual(['lrm-1', 0.25])
    store.isAway = false
    await refresh()
    expect(await serving()).toEqual(['lrm-2', 0.75])
    expect(logged).toEqual([
      'active version changed',
      'active versions unavailable: keeping the loaded ones',
      'active version changed',
      'active versions readable again',
    ])
  })

  test('retries a version that failed to load because the engine was unavailable', async () => {
    const { refresh, status } = watch()
    const { load } = runner
    runner.load = () => Promise.reject(new ServiceError('ENGINE_UNAVAILABLE', 'it restarts'))
    activate(version(1), scoring(0.25))
    await refresh()
    expect(status()).toEqual([{ kind: 'lrm', serving: null, form: null, refused: null }, NO_WEAVER, NO_JUDGE])
    runner.load = load
    await refresh()
    expect(await serving()).toEqual(['lrm-1', 0.25])
  })

  test('loads nothing after it is closed', async () => {
    const { refresh, close } = watch(20)
    await close()
    await close()
    activate(version(1), scoring(0.25))
    await refresh()
    await delay(60)
    expect(await serving()).toEqual([null, null])
  })
})

suite('refCountModel', () => {
  function countingModel() {
    const counts = { loaded: 0, closed: 0 }
    const load = async () => {
      counts.loaded += 1
      return {
        close: async () => {
          counts.closed += 1
        },
      }
    }
    return { counts, load }
  }

  test('closes the model when its last user has finished, not before', async () => {
    const { counts, load } = countingModel()
    const shared = await refCountModel(load)
    let done = (): void => {}
    const using = shared.use(
      () =>
        new Promise<void>((resolve) => {
          done = resolve
        }),
    )
    await shared.retire()
    expect(counts).toEqual({ loaded: 1, closed: 0 })
    done()
    await using
    await vi.waitFor(() => expect(counts).toEqual({ loaded: 1, closed: 1 }))
    await shared.retire()
    expect(counts.closed).toBe(1)
  })

  test('loads a retired model again for a request that still holds it, then closes it', async () => {
    const { counts, load } = countingModel()
    const shared = await refCountModel(load)
    await shared.retire()
    await Promise.all([shared.use(async () => {}), shared.use(async () => {})])
    await vi.waitFor(() => expect(counts).toEqual({ loaded: 2, closed: 2 }))
  })

  test('tries a load that failed again at the next use', async () => {
    const { counts, load } = countingModel()
    let isBroken = false
    const shared = await refCountModel(() => (isBroken ? Promise.reject(new Error('crashed')) : load()))
    await shared.retire()
    isBroken = true
    const retry = shared
      .use(async () => {})
      .catch(async () => {
        isBroken = false
        await shared.use(async () => {})
      })
    const other = shared.use(async () => {})
    await expect(other).rejects.toThrow('crashed')
    await retry
    await vi.waitFor(() => expect(counts).toEqual({ loaded: 2, closed: 2 }))
  })

  test('a failing task rejects its caller and leaves the model loaded', async () => {
    const { counts, load } = countingModel()
    const shared = await refCountModel(load)
    await expect(shared.use(() => Promise.reject(new Error('mine')))).rejects.toThrow('mine')
    await shared.use(async () => {})
    expect(counts).toEqual({ loaded: 1, closed: 0 })
  })
})

test('follows the freeze, keeps its last state while the database is away, logs each change once', async () => {
  const { isFrozen, refresh } = watch()
  await refresh()
  expect(isFrozen()).toBe(false)
  store.frozenSince = '2026-03-02T04:00:00.000Z'
  await refresh()
  await refresh()
  expect(isFrozen()).toBe(true)
  store.isAway = true
  await refresh()
  expect(isFrozen()).toBe(true)
  store.isAway = false
  store.frozenSince = null
  await refresh()
  expect(isFrozen()).toBe(false)
  expect(logged.filter((line) => line.startsWith('learning'))).toEqual([
    'learning frozen: answering without episodes',
    'learning resumed',
  ])
})

test('a fused judge serves while the verdicts that it weighs are of the judge that it was fitted under', async () => {
  const judge = (number: number, judgeFingerprint: string) =>
    version(number, {
      kind: 'judge',
      id: `judge-${number}`,
      version: `judge-${number}`,
      features: { judgeFingerprint },
    })
  const policy = { signal: 'judge', medium: [{ from: 0, strategy: 'greedy' }] }
  const weights = { bias: 0, features: [] }
  const encoded = (value: object) => new TextEncoder().encode(JSON.stringify(value))
  store.bytes.set('judge-1', encoded({ ...weights, policy }))
  store.bytes.set('judge-2', encoded(weights))
  store.judge = judge(1, 'judge of today')
  await watch().refresh()
  expect(watcher.current().judge).toMatchObject({ version: 'judge-1', policy })
  store.judge = judge(2, 'judge of yesterday')
  await watcher.refresh()
  expect(watcher.status().at(-1)).toMatchObject({ serving: 'judge-1', refused: 'judge-2' })
  await watcher.close()
  await watch().refresh()
  expect(watcher.current().judge).toBeNull()
  // Bands of another version mean nothing for it.
  store.judge = judge(1, 'judge of today')
  await watcher.refresh()
  store.judge = { ...judge(2, 'judge of today'), id: 'judge-2' }
  await watcher.refresh()
  expect(watcher.current().judge).toMatchObject({ version: 'judge-2', policy: null })
})

test('a fused judge reads no estimates of another reward model than that of its fit', async () => {
  const lrm = (value: number) => ({ name: 'lrm', mean: 0, deviation: 1, weight: 1, missing: value })
  const weights = { bias: 0, features: [lrm(-5)] }
  store.bytes.set('judge-1', new TextEncoder().encode(JSON.stringify(weights)))
  const fittedWith = (rewardModel?: string) =>
    version(1, {
      kind: 'judge',
      id: 'judge-1',
      version: 'judge-1',
      features: { judgeFingerprint: 'judge of today', ...(rewardModel !== undefined && { rewardModel }) },
    })
  const known = {
    reward: -0.5,
    terms: {},
    logProbability: null,
    selfCertainty: null,
    agreement: null,
    tokens: 1,
  }
  /** P(correct) of an answer that the reward model is sure of, and of one without an estimate. */
  const scores = () =>
    watcher.current().judge!.score([
      { ...known, confidence: 0.99 },
      { ...known, confidence: null },
    ])
  const sigmoid = (logit: number) => 1 / (1 + Math.exp(-logit))
  const [read, withheld] = [
    [expect.closeTo(0.99, 6), expect.closeTo(sigmoid(-5), 6)],
    [0.5, 0.5],
  ]
  // None is active.
  store.judge = fittedWith('none')
  await watch().refresh()
  expect(await scores()).toEqual(read)
  await watcher.close()
  store.judge = fittedWith('lrm-1')
  await watch().refresh()
  expect(await scores()).toEqual(withheld)
  await watcher.refresh()
  const apart = 'fused judge was fitted with another reward model: its estimates are withheld'
  expect(logged.filter((line) => line === apart)).toHaveLength(1)
  activate(version(1), scoring(0.25))
  await watcher.refresh()
  expect(watcher.current().rewardModel?.version).toBe('lrm-1')
  expect(await scores()).toEqual(read)
  // The reward model is rolled back, or a night has promoted the next one.
  activate(version(2), scoring(0.75))
  await watcher.refresh()
  expect(watcher.current()).toMatchObject({
    rewardModel: { version: 'lrm-2' },
    judge: { version: 'judge-1' },
  })
  expect(await scores()).toEqual(withheld)
  expect(logged.filter((line) => line === apart)).toHaveLength(2)
  // Artifacts of earlier releases do not state it.
  await watcher.close()
  store.judge = fittedWith()
  await watch().refresh()
  expect(await scores()).toEqual(read)
})
