import { expect, test } from 'vitest'
import { createRandom } from '#tensor'
import { projectLatents } from '../../../src/solving/project-latents.ts'

test('keeps all distances of points that lie in a plane', async () => {
  const random = createRandom(3)
  const axis = () => Float64Array.from({ length: 40 }, () => random.gaussian())
  const [u, v] = [axis(), axis()]
  const points = Array.from({ length: 7 }, () => {
    const [a, b] = [random.gaussian() * 3, random.gaussian()]
    return Float32Array.from(u!, (value, i) => 5 + a * value + b * v![i]!)
  })

  const places = await projectLatents(points)

  for (let i = 0; i < points.length; i++) {
    for (let j = 0; j < i; j++) {
      const apart = Math.hypot(...points[i]!.map((value, d) => value - points[j]![d]!))
      expect(Math.hypot(places[i]!.x - places[j]!.x, places[i]!.y - places[j]!.y)).toBeCloseTo(apart, 3)
    }
  }
})

test('puts the direction of largest spread on x, its farthest point to the right', async () => {
  const places = await projectLatents([Float32Array.of(0, 0), Float32Array.of(0, 1), Float32Array.of(9, 0)])

  expect(Math.max(...places.map(({ x }) => Math.abs(x)))).toBe(places[2]!.x)
  expect(places[2]!.x - places[0]!.x).toBeGreaterThan(8.9)
})

test.each([
  ['no points', []],
  ['one point', [Float32Array.of(1, 2)]],
  ['equal points', [Float32Array.of(1, 2), Float32Array.of(1, 2)]],
])('gives zeros for %s', async (_name, points) => {
  expect(await projectLatents(points)).toEqual(points.map(() => ({ x: 0, y: 0 })))
})

test('of points on a line has no second dimension', async () => {
  const places = await projectLatents([0, 1, 2].map((step) => Float32Array.of(step, 2 * step, 3)))

  for (const { y } of places) expect(Math.abs(y)).toBeLessThan(1e-4)
})

test('stays quick for a path far wider than a picture needs', async () => {
  const points = Array.from({ length: 60 }, (_, n) => new Float32Array(300_000).fill(n))
  const started = performance.now()
  const places = await projectLatents(points)

  expect(performance.now() - started).toBeLessThan(3_000)
  expect(Math.abs(places[59]!.x - places[0]!.x) / (59 * Math.sqrt(300_000))).toBeCloseTo(1, 1)
})
