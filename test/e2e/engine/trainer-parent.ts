/**
 * @file A program that owns a trainer, keeps it inside one long run and prints the pid of its process; killed
 * by a test.
 */

import { pino } from 'pino'
import { createTrainer } from '#engine'
import { float32 } from '#tensor'
import { squaring } from '../../fixtures/small-graphs.ts'

const trainer = await createTrainer({
  executionProvider: 'cpu',
  cudaDevice: 0,
  logger: pino({ level: 'silent' }),
})
const graph = await trainer.load(squaring(200, 2000))
process.stdout.write(`${trainer.status().pid}\n`)
await graph.run({ x: float32(0) }, ['y'])
