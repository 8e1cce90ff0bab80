/** @file The service writes nothing below the home directory, so the telemetry of ONNX Runtime is off. */

import { readdir } from 'node:fs/promises'
import { env } from 'node:process'
import { setTimeout } from 'node:timers/promises'
import { expect, test } from 'vitest'
import type { Solution } from '#solving'
import { startService, temporaryFolder } from '../support/service-process.ts'
import { dataFolder } from '../support/test-database.ts'

/** ONNX Runtime with telemetry writes its device id and its first events within half a second of loading. */
const WRITING_MS = 2000

test('a service that solves leaves an empty home directory empty', async () => {
  await using home = await temporaryFolder()
  await using data = await dataFolder()
  await using service = await startService({ DATA_DIR: data.path, HOME: home.path, XDG_CACHE_HOME: '' })
  const question = 'Eve at the school: 6 + 4 * 7 - 4 - 5 = ?'
  const { status, body } = await service.ask<Solution>('/solve', { body: { question, seed: 7 } })
  expect({ status, answer: body.answer }).toEqual({ status: 200, answer: '5' })
  await setTimeout(WRITING_MS)
  expect(await readdir(home.path, { recursive: true })).toEqual([])
})

test('the switch is set in every process of the tests that loads the library itself', () => {
  expect(env['ORT_DISABLE_TELEMETRY']).toBe('1')
})
