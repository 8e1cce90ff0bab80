/** @file The sampling that a model's authors recommend, in `generation_config.json`. */

import { Value } from 'typebox/value'
import { MAX_CANDIDATES } from '#decoder'
import type { JsonObject } from './model-files.ts'
import { Sampling } from './profile.ts'

/** Fields of `generation_config.json` by the names of the profile. */
const NAMES = {
  temperature: 'temperature',
  topK: 'top_k',
  topP: 'top_p',
  minP: 'min_p',
  repetitionPenalty: 'repetition_penalty',
} as const satisfies Record<keyof Sampling, string>

/**
 * Returns the sampling of `generation_config.json`, and sentences for the log: what was taken from the file, and
 * what was not. `do_sample` is not read: it says whether transformers samples by default, and `majority` and
 * `lto` always sample. A value out of the profile's bounds is ignored, except a greater `top_k`.
 */
export function readSampling(generation: JsonObject | null): { sampling: Sampling; notes: string[] } {
  const notes: string[] = []
  const sampling: Record<string, number> = {}
  for (const [name, field] of Object.entries(NAMES)) {
    const found = generation?.[field] ?? null
    if (found === null) continue
    const value = name === 'topK' && typeof found === 'number' ? Math.min(found, MAX_CANDIDATES) : found
    const schema = Sampling.properties[name as keyof Sampling]
    if (!Value.Check(schema, value)) {
      notes.push(`generation_config.json: ${field} ${JSON.stringify(found)} is ignored, out of bounds`)
      continue
    }
    if (value !== found) notes.push(`generation_config.json: top_k ${found} is reduced to ${MAX_CANDIDATES}`)
    sampling[name] = value as number
  }
  if (Object.keys(sampling).length > 0) {
    notes.push(`majority and lto sample as generation_config.json recommends: ${JSON.stringify(sampling)}`)
  }
  return { sampling, notes }
}
