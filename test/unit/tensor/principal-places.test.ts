import { expect, test } from 'vitest'
import { createRandom, principalPlaces } from '#tensor'

test('keeps all distances of rows that lie in a plane, the widest direction first', async () => {
  const random = createRandom(3)
  const axis = () => Float64Array.from({ length: 40 }, () => random.gaussian())
  const [u, v] = [axis(), axis()]
  const rows = Array.from({ length: 9 }, () => {
    const [a, b] = [random.gaussian() * 3, random.gaussian()]
    return Float32Array.from(u, (value, i) => 5 + a * value + b * v[i]!)
  })
  const { places, explained } = await principalPlaces(rows)
  for (const [i, a] of rows.entries()) {
    for (const [j, b] of rows.entries()) {
      const apart = Math.hypot(...a.map((value, at) => value - b[at]!))
      expect(Math.hypot(places[i]!.x - places[j]!.x, places[i]!.y - places[j]!.y)).toBeCloseTo(apart, 3)
    }
  }
  expect(explained[0]).toBeGreaterThan(explained[1])
  expect(explained[0] + explained[1]).toBeCloseTo(1, 6)
})

test('has no spread to show for no row, one row, and equal rows', async () => {
  expect(await principalPlaces([])).toEqual({ places: [], explained: [0, 0] })
  for (const count of [1, 3]) {
    const { places, explained } = await principalPlaces(
      Array.from({ length: count }, () => Float32Array.of(1, 2, 3)),
    )
    expect(places).toEqual(Array.from({ length: count }, () => ({ x: 0, y: 0 })))
    expect(explained).toEqual([0, 0])
  }
})

test('leaves the event loop free in between', async () => {
  const random = createRandom(1)
  const rows = Array.from({ length: 2_000 }, () =>
    Float32Array.from({ length: 256 }, () => random.gaussian()),
  )
  let turns = 0
  let isDone = false
  const count = () => {
    turns += 1
    if (!isDone) setImmediate(count)
  }
  setImmediate(count)
  await principalPlaces(rows)
  isDone = true
  expect(turns).toBeGreaterThan(20)
})
