/** @file A program that owns an engine and prints the pid of its process; ended by a test. */

import { pino } from 'pino'
import { createEngine } from '#engine'

process.on('SIGTERM', () => process.exit(0))
const engine = await createEngine({
  directory: process.argv[2] ?? '',
  executionProvider: 'cpu',
  cudaDevice: 0,
  logger: pino({ level: 'silent' }),
})
process.stdout.write(`${engine.status().pid}\n`)
