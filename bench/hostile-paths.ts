/**
 * @file Bench of liveness under attack: the time of `GET /livez` while eight clients send the worst paths of
 * 16 KiB, one after another, over connections that are kept. The clients run in a process of their own.
 *
 * `node bench/hostile-paths.ts [--clients 8] [--seconds 20]`
 */

import { fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { Agent, request } from 'node:http'
import { loadavg, tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { quantile } from './report/statistics.ts'
import { printTable } from './report/table.ts'
import { startService } from './service/running-service.ts'

const { values } = parseArgs({
  options: {
    clients: { type: 'string', default: '8' },
    seconds: { type: 'string', default: '20' },
    attack: { type: 'string' },
    unit: { type: 'string', default: 'x' },
  },
})
const clients = Number(values.clients)
const seconds = Number(values.seconds)

/** Texts that made the log's redaction quadratic, and a plain one. */
const UNITS = ['x', 'a.', 'a-', 'a+', 'a:', '://', '@', 'a://b@', '%61.', '/.', '?a&']
const PATH_LENGTH = 16_000
const PROBE_INTERVAL_MS = 20

if (values.attack === undefined) await measure()
else await attack(values.attack, values.unit)

/** Requests the path on `clients` connections until the process is killed. */
async function attack(origin: string, unit: string): Promise<void> {
  const path = `/${unit.repeat(PATH_LENGTH / unit.length)}`
  const agent = new Agent({ keepAlive: true, maxSockets: clients })
  let sent = 0
  process.on('message', () => process.send?.(sent))
  await Promise.all(
    Array.from({ length: clients }, async () => {
      for (;;) {
        await get(origin, path, agent)
        sent += 1
      }
    }),
  )
}

/** Resolves with the duration, in ms, once the whole response has arrived. */
async function get(origin: string, path: string, agent: Agent): Promise<number> {
  const started = performance.now()
  const [response] = await once(request(new URL(origin), { path, agent }).end(), 'response')
  response.resume()
  await once(response, 'end')
  return performance.now() - started
}

async function measure(): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'circadian-bench-'))
  const service = await startService(folder, 'info')
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  const probe = async (): Promise<number[]> => {
    const times: number[] = []
    for (const until = performance.now() + seconds * 1000; performance.now() < until; ) {
      times.push(await get(service.origin, '/livez', agent))
      await setTimeout(PROBE_INTERVAL_MS)
    }
    return times
  }
  const row = (name: string, times: readonly number[], sent: number) => {
    const load = loadavg()[0]?.toFixed(1) ?? ''
    const [p50, p99] = [quantile(times, 0.5), quantile(times, 0.99)]
    return [name, times.length, p50, p99, Math.max(...times), sent / seconds, load]
  }
  const rows = [row('no attack', await probe(), 0)]
  for (const unit of UNITS) {
    const attacker = fork(import.meta.filename, [
      `--attack=${service.origin}`,
      `--unit=${unit}`,
      `--clients=${clients}`,
    ])
    await setTimeout(500)
    const times = await probe()
    attacker.send('count')
    const [sent] = await once(attacker, 'message')
    attacker.kill()
    await once(attacker, 'exit')
    rows.push(row(unit, times, Number(sent)))
  }
  agent.destroy()
  await service.stop()
  await rm(folder, { recursive: true })
  printTable(
    `GET /livez beside ${clients} clients`,
    ['path', 'n', 'p50 ms', 'p99 ms', 'max ms', 'attacks per second', 'load average'],
    rows,
  )
}
