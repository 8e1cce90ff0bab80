import { describe, expect, test } from 'vitest'
import type { Artifact } from '#artifacts'
import type { HeldOutQuestion } from '#episodes'
import { type ErrorCode, ServiceError } from '#errors'
import { createModel, createTape, encodeModel, value } from '#onnx'
import { createTensor } from '#tensor'
import type { TrialOptions } from '../../../src/consolidation/artifact-training.ts'
import { createWeaverTraining } from '../../../src/consolidation/weaver-training.ts'
import { createEpisodesInMemory } from '../../support/episodes-in-memory.ts'
import { ARTIFACT } from '../../support/http-app.ts'
import { createLinearModel, tokenOf } from '../../support/linear-model.ts'
import { TWO_FLIPS } from '../../support/solve-in-memory.ts'

const LATENTS = 2
const WIDTH = createLinearModel(TWO_FLIPS).hiddenSize

/** Raises the logit of a word at every position. */
function weaverTo(word: string, version: string) {
  const shift = new Float32Array(WIDTH)
  shift[tokenOf(word)] = 5
  const tape = createTape(['embedding', 'z_base', 'mask'])
  tape.outputs(['z'], 'Add', ['z_base', tape.constant(createTensor('float32', [1, 1, WIDTH], shift))])
  const rows = ['N', LATENTS, WIDTH] as const
  const graph = tape.graph({
    name: 'towards',
    inputs: [
      value('embedding', 'float32', ['N', WIDTH]),
      value('z_base', 'float32', rows),
      value('mask', 'float32', ['N', LATENTS]),
    ],
    outputs: [value('z', 'float32', rows)],
  })
  const artifact: Artifact = {
    ...ARTIFACT,
    kind: 'weaver',
    version,
    features: { latents: LATENTS, width: WIDTH },
    metrics: {},
  }
  return { artifact, bytes: encodeModel(createModel(graph, { '': 17 })) }
}

/** A fused judge that gives every answer the same P(correct). */
function judgeOf({ bias, judgeFingerprint = 'linear-judge' }: { bias: number; judgeFingerprint?: string }) {
  const artifact: Artifact = {
    ...ARTIFACT,
    kind: 'judge',
    version: 'judge-3',
    features: { judgeFingerprint },
    metrics: {},
  }
  return { artifact, bytes: new TextEncoder().encode(JSON.stringify({ bias, features: [] })) }
}

const right = weaverTo('c', 'weaver-2')
const wrong = weaverTo('d', 'weaver-1')
const QUESTIONS: readonly HeldOutQuestion[] = Array.from({ length: 160 }, (_, n) => ({
  tenantId: 'tenant-a',
  question: `${n} + 4 = ?`,
  episodeIds: [`episode-${n}`],
  reference: n < 140 ? '3' : null,
  referenceSource: n < 140 ? 'reference' : null,
}))

function judging(over: Partial<TrialOptions> = {}, questions = QUESTIONS) {
  const engine = createLinearModel(TWO_FLIPS)
  const episodes = createEpisodesInMemory()
  const shares: number[] = []
  const warnings: object[] = []
  const counts = { opened: 0, closed: 0 }
  const asked: unknown[] = []
  const unused = () => {
    throw new Error('judge weaver: expected no call')
  }
  const options: TrialOptions = {
    fingerprint: engine.model.fingerprint,
    candidate: right,
    incumbent: null,
    anchor: null,
    rewardModel: async () => null,
    fusedJudge: async () => null,
    hasAnchor: over.anchor !== undefined,
    heldOut: [],
    locked: [],
    recorded: (_part, work) => work(),
    episodes,
    seed: 7,
    signal: new AbortController().signal,
    report: (share) => shares.push(share),
    runner: { load: unused, openTask: unused },
    logger: { info() {}, warn: (details) => void warnings.push(details) },
    training: {
      labelledAnswers: unused,
      labelledThoughts: unused,
      latentPairs: unused,
      async heldOutQuestions(...args) {
        asked.push(args)
        return questions
      },
    },
    async openReplayEngine() {
      counts.opened += 1
      return {
        engine,
        async close() {
          counts.closed += 1
        },
      }
    },
    ...over,
  }
  return {
    verdict: createWeaverTraining({}).judge(options),
    engine,
    episodes,
    shares,
    warnings,
    counts,
    asked,
  }
}

describe('the gate of the weaver', () => {
  test('promotes a candidate that answers held-out questions on the first pass, when no weaver is active', async () => {
    const { verdict, shares, counts, engine, episodes } = judging()
    expect(await verdict).toMatchObject({
      promoted: true,
      metrics: {
        firstPass: { value: 1, n: 100 },
        accuracy: { value: 1, n: 100 },
        labelled: { value: 140 / 160, n: 160 },
      },
      baseline: { firstPass: { value: 0, n: 100 }, 'guard.firstPass': { value: 0 } },
    })
    expect(shares.at(0)).toBeCloseTo(1 / 3, 1)
    expect(counts).toEqual({ opened: 1, closed: 1 })
    expect(engine.opened.every(({ priority }) => priority === 'background')).toBe(true)
    // With retrieval on, the questions' own episodes are excluded, and no episode is stored.
    expect(episodes.queries).toHaveLength(2 * 100)
    for (const { exclude } of episodes.queries)
      expect(exclude).toEqual(QUESTIONS.flatMap(({ episodeIds }) => episodeIds))
    expect(episodes.added).toEqual([])
  })

  test('rejects a candidate that is worse than the active weaver', async () => {
    const { verdict } = judging({ candidate: wrong, incumbent: right })
    expect(await verdict).toMatchObject({ promoted: false, baseline: { firstPass: { value: 1 } } })
  })

  test('judges on the questions of the held-out episodes, 200 at most', async () => {
    const heldOut = [{ tenantId: 'tenant-a', episodeId: 'episode-1' }]
    const { verdict, asked } = judging({ heldOut })
    await verdict
    expect(asked).toEqual([
      [
        'linear-fingerprint',
        heldOut,
        {
          limit: 200,
          rules: expect.objectContaining({ answerRules: 'linear-answers', judgeFingerprint: 'linear-judge' }),
        },
      ],
    ])
  })

  test('rejects when all held-out questions have been deleted', async () => {
    const { verdict, counts } = judging({}, [])
    expect(await verdict).toMatchObject({ promoted: false, reason: 'no held-out questions to judge by' })
    expect(counts).toEqual({ opened: 1, closed: 1 })
  })
})

describe('the other models that serve', () => {
  /** P(correct) by the length alone: no answer of these questions passes by it. */
  const stern = judgeOf({ bias: -3 })
  const pleased = judgeOf({ bias: 3 })

  test.each([
    ['one that no answer passes', stern, 0],
    ['one that every answer passes', pleased, 1],
  ])('decide in the replays what passes: %s', async (_, judge, firstPass) => {
    const { verdict } = judging({ fusedJudge: async () => judge }, QUESTIONS.slice(0, 50))
    const { metrics } = await verdict
    expect(metrics).toMatchObject({ firstPass: { value: firstPass } })
    expect(metrics['reward']!.value).toBeCloseTo(1 / (1 + Math.exp(judge === stern ? 3 : -3)) - 1, 6)
  })

  test('take no part where they were fitted under another judge, as in serving', async () => {
    const other = judgeOf({ bias: -3, judgeFingerprint: 'earlier' })
    const { verdict } = judging({ fusedJudge: async () => other }, QUESTIONS.slice(0, 50))
    expect((await verdict).metrics).toMatchObject({ firstPass: { value: 1 } })
  })

  test('make recorded looks void when others serve', async () => {
    const records = new Map<string, object>()
    const recorded: TrialOptions['recorded'] = async <Result extends object>(
      part: string,
      work: () => Promise<Result>,
    ) => {
      if (!records.has(part)) records.set(part, await work())
      return records.get(part) as Result
    }
    const questions = QUESTIONS.slice(0, 50)
    await judging({ recorded }, questions).verdict
    const again = judging({ recorded, fusedJudge: async () => stern }, questions)
    expect((await again.verdict).metrics).toMatchObject({ firstPass: { value: 0 } })
  })
})

describe('a worker without the model', () => {
  test('rejects the candidate and names its own model', async () => {
    const { verdict, counts, warnings } = judging({ fingerprint: 'another' })
    const { promoted, reason } = await verdict
    expect(promoted).toBe(false)
    expect(reason).toMatch(
      /^cannot be judged: expected a worker with the model another, got .*linear-fingerprint.*MODEL_DIR/,
    )
    expect(counts).toEqual({ opened: 1, closed: 1 })
    expect(warnings).toHaveLength(1)
  })

  const failing = (code: ErrorCode) => () =>
    Promise.reject(new ServiceError(code, 'open: expected a model, got none'))

  test('rejects the candidate when its engine cannot load the model', async () => {
    const { verdict } = judging({ openReplayEngine: failing('MODEL_INVALID') })
    expect(await verdict).toMatchObject({
      promoted: false,
      baseline: {},
      reason: 'cannot be judged: expected a worker with the model, got open: expected a model, got none',
    })
  })

  test('throws when its engine has crashed, so that the step is tried again', async () => {
    const { verdict } = judging({ openReplayEngine: failing('ENGINE_CRASHED') })
    await expect(verdict).rejects.toMatchObject({ code: 'ENGINE_CRASHED' })
  })
})

test('leaves a question that does not fit the model out of all replays', async () => {
  const long = { ...QUESTIONS[7]!, question: `${'9 '.repeat(400)}+ 4 = ?` }
  const questions = [...QUESTIONS.slice(0, 7), long, ...QUESTIONS.slice(8, 50)]
  const { verdict } = judging({}, questions)
  expect((await verdict).metrics).toMatchObject({ firstPass: { value: 1, n: 49 } })
})

test('closes the engine when the replay fails', async () => {
  const { verdict, counts } = judging({ signal: AbortSignal.abort() })
  await expect(verdict).rejects.toMatchObject({ code: 'ABORTED' })
  expect(counts).toEqual({ opened: 1, closed: 1 })
})

test('goes on after the looks that an earlier attempt has recorded, and ignores those of other questions', async () => {
  const records = new Map<string, object>()
  const recorded: TrialOptions['recorded'] = async <Result extends object>(
    part: string,
    work: () => Promise<Result>,
  ) => {
    if (!records.has(part)) records.set(part, await work())
    return records.get(part) as Result
  }
  const first = judging({ recorded })
  await first.verdict
  const again = judging({ recorded })
  expect(await again.verdict).toEqual(await first.verdict)
  expect(first.engine.opened.length).toBeGreaterThan(0)
  expect(again.engine.opened).toEqual([])
  expect(JSON.stringify([...records])).not.toContain('+ 4 = ?')

  const others = judging({ recorded }, QUESTIONS.slice(1))
  await others.verdict
  expect(others.engine.opened.length).toBeGreaterThan(0)
})

test('ignores the looks that were recorded with another active version', async () => {
  let first: object | undefined
  const recorded: TrialOptions['recorded'] = async <Result extends object>(
    _part: string,
    work: () => Promise<Result>,
  ) => {
    first ??= await work()
    return first as Result
  }
  const questions = QUESTIONS.slice(0, 50)
  await judging({ recorded }, questions).verdict
  // Rolled back or activated by hand before another worker continued.
  const other = judging({ recorded, incumbent: right, hasAnchor: true }, questions)
  expect(await other.verdict).toMatchObject({ promoted: false, baseline: { firstPass: { value: 1 } } })
})

test.each([
  ['the identity until a version is the anchor', { incumbent: wrong, hasAnchor: false }, true],
  ['no anchor when the active version is it', { incumbent: wrong, hasAnchor: true }, false],
  ['no anchor when the identity is active', { incumbent: null, hasAnchor: false }, false],
])('replays with %s', async (_which, rivals, hasArm) => {
  const { metrics } = await judging({ candidate: right, ...rivals }, QUESTIONS.slice(0, 50)).verdict
  expect('anchor.firstPass.difference' in metrics).toBe(hasArm)
})

test('replays with the anchor too, when it is another version than the active one', async () => {
  const { verdict } = judging({ candidate: right, incumbent: wrong, anchor: right })
  expect(await verdict).toMatchObject({ metrics: { 'anchor.firstPass.difference': { value: 0 } } })
})
