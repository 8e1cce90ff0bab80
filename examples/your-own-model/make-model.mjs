/**
 * @file Copies the bundled model directory and changes its profile: `node examples/your-own-model/make-model.mjs FOLDER`.
 *
 * A model of your own needs the same files (docs/models.md); `circadian.json` is the only one that this project defines.
 */

import { cp, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

const folder = process.argv[2]
if (folder === undefined) throw new Error('make-model: expected the folder of the copy, got no argument')

const bundled = join(import.meta.dirname, '../../models/order-of-operations')
const SERVED = [
  'config.json',
  'generation_config.json',
  'tokenizer.json',
  'tokenizer_config.json',
  'embedding-mean.bin',
  'onnx',
]
for (const name of SERVED) await cp(join(bundled, name), join(folder, name), { recursive: true })

const profile = JSON.parse(await readFile(join(bundled, 'circadian.json'), 'utf8'))
// The answer is the calculation in front of the final digit, not the digit.
profile.answer.pattern = '([^;]*) ; ans'
// A longer search than the bundled profile's 10 updates.
profile.defaults.maxIterations = 20
await writeFile(join(folder, 'circadian.json'), `${JSON.stringify(profile, null, 2)}\n`)
console.log(`${folder}: a copy of the bundled model with a profile of its own`)
