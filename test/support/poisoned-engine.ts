/**
 * @file The program of an engine process that kills itself, as the kernel does for memory, when a run feeds it
 * the token POISON_TOKEN.
 */

import '../../src/engine/child/without-float16-array.ts'
import '../../src/engine/child/without-telemetry.ts'
import { InferenceSession, type Tensor } from 'onnxruntime-node'

const poison = BigInt(process.env['POISON_TOKEN'] ?? -1)
type Run = (feeds: Readonly<Record<string, Tensor>>, ...rest: readonly unknown[]) => unknown
// The type of the class hides its prototype.
const { prototype } = InferenceSession as unknown as { readonly prototype: { run: Run } }
const { run } = prototype
prototype.run = function poisonedRun(feeds, ...rest) {
  const ids = feeds['input_ids']?.data
  if (ids instanceof BigInt64Array && ids.includes(poison)) process.kill(process.pid, 'SIGKILL')
  return run.call(this, feeds, ...rest)
}

await import('../../src/engine/child/main.ts')
