import { describe, expect, test } from 'vitest'
import { clusterQuestions, foldQuestion } from '../../../src/consolidation/cluster-questions.ts'
import {
  type AskedEpisode,
  type NightSplit,
  nameOf,
  openSplit,
  splitNight,
} from '../../../src/consolidation/split-night.ts'
import { unitVector } from '../../support/episodes.ts'

function episode(number: number, over: Partial<AskedEpisode> = {}): AskedEpisode {
  return {
    tenantId: 'tenant a',
    episodeId: `episode-${number}`,
    question: `What is ${number} x 3?`,
    embedding: unitVector(number, 16),
    steers: number % 2 === 0,
    trained: false,
    asked: true,
    ...over,
  }
}

const asked = (count: number, over?: (number: number) => Partial<AskedEpisode>) =>
  Array.from({ length: count }, (_, number) => episode(number, over?.(number)))
const sizes = ({ locked, heldOut, calibration, unused }: NightSplit) => ({
  locked: locked.length,
  heldOut: heldOut.length,
  calibration: calibration.length,
  unused: unused.length,
})
const partsOf = (split: NightSplit, episodes: readonly AskedEpisode[]) => {
  const lookup = openSplit(split)
  return episodes.map((one) => lookup.placeOf(one, one.question).part)
}

describe('folding', () => {
  test.each([
    ['What is 17 + 5?', 'what  is 17+5 ?'],
    ['“Add” 3.5 and 2.', 'add 3.5 and 2'],
    ['Ｗhat is ２ x 3', 'what is 2 x 3'],
  ])('%s is the same as %s', (a, b) => {
    expect(foldQuestion(a)).toBe(foldQuestion(b))
  })

  test.each([
    ['17 + 5', '17 - 5'],
    ['(2 + 3) * 4', '2 + 3 * 4'],
    ['3.5 + 1', '35 + 1'],
    ['6 / 2', '6 2'],
  ])('%s is not the same as %s', (a, b) => {
    expect(foldQuestion(a)).not.toBe(foldQuestion(b))
  })
})

describe('clusters', () => {
  const at = (degrees: number) => {
    const radians = (degrees * Math.PI) / 180
    return Float32Array.of(Math.cos(radians), Math.sin(radians))
  }

  test('join the same text and embedding neighbours, also through a third question', async () => {
    // The cosine of 2 degrees is .9994, of 4 degrees .9976.
    const questions = [
      { question: 'a', embedding: at(0) },
      { question: 'b', embedding: at(4) },
      { question: 'c', embedding: at(90) },
      { question: 'A ?', embedding: at(180) },
      { question: 'd', embedding: at(2) },
    ]
    expect(await clusterQuestions(questions)).toEqual([0, 0, 1, 0, 0])
    expect(await clusterQuestions(questions.slice(0, 4))).toEqual([0, 1, 2, 0])
  })

  test('of 5,000 questions leave the event loop free', async () => {
    const questions = Array.from({ length: 5_000 }, (_, seed) => ({
      question: `${seed}`,
      embedding: unitVector(seed, 256),
    }))
    let longest = 0
    let last = performance.now()
    const watching = setInterval(() => {
      longest = Math.max(longest, performance.now() - last)
      last = performance.now()
    }, 5)
    await clusterQuestions(questions)
    clearInterval(watching)
    expect(longest).toBeLessThan(500)
  }, 60_000)

  test('throw when the signal fires', async () => {
    const questions = Array.from({ length: 5_000 }, (_, seed) => ({
      question: `${seed}`,
      embedding: unitVector(seed, 256),
    }))
    await expect(clusterQuestions(questions, AbortSignal.abort(new Error('stop')))).rejects.toThrow('stop')
  })
})

describe('a split', () => {
  const first = { salt: 'night-1', hasActive: false }
  const later = { salt: 'night-2', hasActive: true }

  test('of many questions, without an active version, holds out a fifth and calibrates on a tenth of the rest', async () => {
    const { locked, heldOut, calibration, unused } = sizes(await splitNight(asked(1_000), first))
    expect(locked).toBeGreaterThan(70)
    expect(locked).toBeLessThan(130)
    expect(heldOut).toBe(Math.floor((1_000 - locked) / 5))
    expect(calibration).toBe(Math.floor((1_000 - locked - heldOut) / 10))
    expect(unused).toBe(0)
  })

  test('calibrates on a quarter when few questions are retrievable, and on a tenth when none is', async () => {
    const calibrated = async (steering: number) => {
      const split = await splitNight(
        asked(1_000, (number) => ({ steers: number < steering })),
        first,
      )
      return split.calibration.length / (1_000 - split.locked.length - split.heldOut.length)
    }
    expect(await calibrated(20)).toBeCloseTo(0.25, 2)
    expect(await calibrated(0)).toBeCloseTo(0.1, 2)
  })

  test('with one holds out half of the fresh questions, at least 10 and at most 400', async () => {
    const freshOf = async (total: number, fresh: number) => {
      const episodes = asked(total, (number) => ({ trained: number >= fresh }))
      const split = await splitNight(episodes, later)
      const parts = partsOf(split, episodes)
      expect(episodes.filter(({ trained }, at) => trained && parts[at] === 'heldOut')).toEqual([])
      return split.heldOut.length
    }
    expect(await freshOf(400, 12)).toBe(10)
    expect(await freshOf(400, 4)).toBeLessThanOrEqual(4)
    expect(await freshOf(400, 0)).toBe(0)
    expect(await freshOf(1_200, 1_100)).toBe(400)
    const split = await freshOf(400, 200)
    expect(split).toBeGreaterThan(80)
    expect(split).toBeLessThanOrEqual(100)
  })

  test('is the same for the same episodes and salt; another salt holds out other questions', async () => {
    const episodes = asked(300)
    const split = await splitNight(episodes, first)
    expect(await splitNight(episodes, first)).toEqual(split)
    expect(JSON.parse(JSON.stringify(split))).toEqual(split)

    const other = await splitNight(episodes, { ...first, salt: 'night-2' })
    expect(new Set(other.locked.flat())).toEqual(new Set(split.locked.flat()))
    const [one, two] = [new Set(split.heldOut.flat()), new Set(other.heldOut.flat())]
    expect(one.intersection(two).size).toBeLessThan(0.7 * one.size)
  })

  test('learns in later nights what it held out, but never what is locked', async () => {
    const episodes = asked(200)
    const learned = new Set<string>()
    for (let night = 0; night < 12; night++) {
      const split = await splitNight(episodes, { salt: `night-${night}`, hasActive: night > 0 })
      for (const [at, part] of partsOf(split, episodes).entries())
        if (part === 'train') learned.add(nameOf(episodes[at]!))
    }
    const { locked } = await splitNight(episodes, first)
    expect(learned.size).toBe(200 - locked.length)
    for (const name of locked.flat()) expect(learned).not.toContain(name)
  })

  test('keeps near-duplicates on one side', async () => {
    const episodes = asked(400, (number) => {
      const twin = number - (number % 4)
      if (number % 4 === 1) return { question: `what is ${twin} x 3`, embedding: unitVector(number, 16) }
      if (number % 4 === 2) return { question: `${number} times?`, embedding: unitVector(twin, 16) }
      return {}
    })
    const parts = partsOf(await splitNight(episodes, first), episodes)
    for (let twin = 0; twin < 400; twin += 4) {
      expect(new Set(parts.slice(twin, twin + 3)).size).toBe(1)
    }
    expect(new Set(parts)).toEqual(new Set(['train', 'heldOut', 'calibration', 'locked']))
  })

  test('holds out no near-duplicate of a trained question, even when that one is not asked any more', async () => {
    const old = asked(300, (number) => ({
      episodeId: `old-${number}`,
      question: `WHAT IS ${number} x 3`,
      trained: true,
      asked: false,
    }))
    const split = await splitNight([...asked(300), ...old], later)
    expect(split.heldOut).toEqual([])
    expect(split.locked).toEqual([])
    // A locked question that was trained on all the same is left out.
    expect(split.unused.length).toBeGreaterThan(10)
    expect(
      Object.values(split)
        .flat(2)
        .some((name) => String(name).includes('old-')),
    ).toBe(false)
  })

  test('draws held-out questions in proportion from those that steer and the others', async () => {
    const episodes = asked(1_000, (number) => ({ steers: number % 4 === 0 }))
    const split = await splitNight(episodes, first)
    const parts = partsOf(split, episodes)
    const heldOut = episodes.filter((_, at) => parts[at] === 'heldOut')
    const share = heldOut.filter(({ steers }) => steers).length / heldOut.length
    expect(share).toBeGreaterThan(0.2)
    expect(share).toBeLessThan(0.3)
  })

  test('of few questions leaves half for the gate and 10 to calibrate on', async () => {
    const split = sizes(await splitNight(asked(50), first))
    expect(split).toMatchObject({ heldOut: 23, calibration: 10 })
    expect(sizes(await splitNight([], first))).toEqual({ locked: 0, heldOut: 0, calibration: 0, unused: 0 })
  })

  test('lists episodes with their clusters, for tenants of any name', async () => {
    const episodes = asked(100, (number) => ({ tenantId: number % 2 === 0 ? 'a b' : 'c' }))
    const lookup = openSplit(await splitNight(episodes, first))
    const heldOut = lookup.episodesOf('heldOut')
    expect(heldOut.length).toBeGreaterThan(30)
    for (const { cluster, ...key } of heldOut) {
      const own = episodes.find(({ episodeId }) => episodeId === key.episodeId)!
      expect(key).toEqual({ tenantId: own.tenantId, episodeId: own.episodeId })
      expect(lookup.placeOf(key, own.question)).toEqual({ part: 'heldOut', cluster })
    }
  })
})
