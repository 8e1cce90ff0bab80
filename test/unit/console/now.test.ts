/** @file How the console reads the text format of Prometheus. */

import { expect, test } from 'vitest'
import { histogramsBy, parseExposition, quantile, total } from '../../../console/src/views/now/exposition.ts'

const TEXT = `# HELP circadian:latency_seconds Time.
# TYPE circadian:latency_seconds histogram
circadian:latency_seconds_bucket{le="0.1",strategy="auto"} 1
circadian:latency_seconds_bucket{le="1",strategy="auto"} 3
circadian:latency_seconds_bucket{le="+Inf",strategy="auto"} 4
circadian:latency_seconds_sum{strategy="auto"} 5.5
circadian:latency_seconds_count{strategy="auto"} 4
circadian:rows 2
circadian:info{name="a \\"b\\", \\\\ c",empty=""} 1
circadian:nothing NaN
this is no sample
`

test('samples are read with their labels, and a missing series is no zero', () => {
  const metrics = parseExposition(TEXT)
  expect(total(metrics, 'circadian:rows')).toBe(2)
  expect(total(metrics, 'circadian:latency_seconds_bucket')).toBe(8)
  expect(total(metrics, 'circadian:absent')).toBeNull()
  expect(metrics.get('circadian:info')).toEqual([{ labels: { name: 'a "b", \\ c', empty: '' }, value: 1 }])
  expect(metrics.get('circadian:nothing')?.[0]?.value).toBeNaN()
})

test('quantiles are those of Prometheus', () => {
  const [[name, histogram] = ['', null]] = histogramsBy(
    parseExposition(TEXT),
    'circadian:latency_seconds',
    'strategy',
  )
  expect(name).toBe('auto')
  expect(quantile(histogram!, 0.5)).toBeCloseTo(0.1 + 0.9 / 2, 12)
  // Beyond the last finite bound: that bound.
  expect(quantile(histogram!, 0.95)).toBe(1)
  expect(quantile({ count: 0, sum: 0, buckets: [] }, 0.5)).toBeNull()
})
