/** @file Time to the first token and between tokens of streams under `/v1`, alone and beside others. */

import { loadavg } from 'node:os'
import type { Problem } from '../../models/order-of-operations/problems.ts'
import type { Measurement } from '../report/records.ts'
import { quantile } from '../report/statistics.ts'
import { printTable } from '../report/table.ts'
import { startService } from './running-service.ts'
import { type StreamTimes, startReaders } from './stream-clients.ts'

export interface TokenTimesOptions {
  readonly dataDir: string
  /** Name of the model in the records. */
  readonly model: string
  readonly problems: readonly Problem[]
  /** Streams of each case. */
  readonly count: number
  /** Streams at once of the second case. */
  readonly lanes: number
  readonly env: Readonly<Record<string, string>>
}

const WARM_UP = 3
/** More than answers of the bundled model have. */
const MAX_ANSWER_TOKENS = 64

export async function measureTokenTimes(options: TokenTimesOptions): Promise<Measurement[]> {
  const { dataDir, problems, count, env } = options
  await using parts = new AsyncDisposableStack()
  const service = parts.adopt(await startService(dataDir, 'error', env), (it) => it.stop())
  const readers = parts.adopt(startReaders(service.origin), (it) => it.close())
  const rows = []
  for (const strategy of ['greedy', 'auto'] as const) {
    const bodies = (from: number, length: number) =>
      Array.from({ length }, (_, index) => ({
        model: `circadian/${strategy}`,
        messages: [{ role: 'user', content: problems[(from + index) % problems.length]!.question }],
        max_completion_tokens: MAX_ANSWER_TOKENS,
        seed: index,
      }))
    await readers.read(bodies(0, WARM_UP), 1)
    for (const lanes of [1, options.lanes]) {
      const from = WARM_UP + (lanes === 1 ? 0 : count)
      rows.push(summarise(strategy, lanes, await readers.read(bodies(from, count), lanes)))
    }
  }
  printTable(`${options.model}: streams`, Object.keys(rows[0]!), rows.map(Object.values))
  return rows.map(({ strategy, streams, n, ...figures }) => ({
    part: `streams: ${options.model}`,
    case: { strategy, streams },
    n,
    figures,
  }))
}

function summarise(strategy: string, lanes: number, streams: readonly StreamTimes[]) {
  const complete = streams.filter(({ isComplete }) => isComplete)
  const first = complete.map(({ chunks }) => chunks[0]?.ms ?? Number.NaN)
  const gaps = complete.flatMap(({ chunks }) =>
    chunks.slice(1).map(({ ms }, index) => ms - chunks[index]!.ms),
  )
  const tokens = complete.map(
    ({ usage }) => (usage?.completion_tokens ?? 0) + (usage?.completion_tokens_details.reasoning_tokens ?? 0),
  )
  return {
    strategy,
    streams: lanes,
    n: complete.length,
    'first token p50 ms': quantile(first, 0.5),
    'first token p95 ms': quantile(first, 0.95),
    'between chunks p50 ms': gaps.length === 0 ? 0 : quantile(gaps, 0.5),
    'between chunks p95 ms': gaps.length === 0 ? 0 : quantile(gaps, 0.95),
    'chunks of text p50': quantile(
      complete.map(({ chunks }) => chunks.length),
      0.5,
    ),
    'tokens p50': quantile(tokens, 0.5),
    'whole stream p50 ms': quantile(
      complete.map(({ endMs }) => endMs),
      0.5,
    ),
    failed: streams.length - complete.length,
    load: loadavg()[0]!,
  }
}
