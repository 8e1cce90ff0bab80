/**
 * @file Profiles that were measured on models without a `circadian.json`: folders with the profile, its embedding mean,
 * and `measured-on.json`, which names the model. `circadian model profile` makes them.
 */

import { createHash } from 'node:crypto'
import { realpath } from 'node:fs/promises'
import { join } from 'node:path'
import { isDeepStrictEqual } from 'node:util'
import type { DecoderDescription } from '#decoder'
import { type JsonObject, namesIn, readJson, readJsonIfThere } from './model-files.ts'

/** Folder of the profiles that come with the service. */
export const MEASURED_PROFILES = join(import.meta.dirname, '../../models/profiles')

/** Model that a profile was measured on: the content of `measured-on.json`. */
export interface MeasuredOn {
  /** sha256 over graph and weights. */
  readonly weights: string
  /** Facts that other exports of a model, such as other quantisations, have in common with it. */
  readonly architecture: JsonObject
}

export interface MeasuredProfile {
  readonly name: string
  /** Folder with the profile's embedding mean. */
  readonly folder: string
  /** Content of `circadian.json`. */
  readonly source: JsonObject
  readonly match: 'weights' | 'architecture'
}

/** Returns sizes of the graph, type of the model, and sha256 of the chat template. */
export function describeArchitecture(
  { hiddenSize, layers, keyValueHeads, headSize, vocabularySize }: DecoderDescription,
  config: JsonObject,
  chatTemplate: string,
): JsonObject {
  return {
    type: config['model_type'] ?? config['type'] ?? null,
    hiddenSize,
    layers,
    keyValueHeads,
    headSize,
    vocabularySize,
    chatTemplate: createHash('sha256').update(chatTemplate).digest('hex'),
  }
}

/**
 * Returns the profile that was measured on these weights, else one of the same architecture, the first by name; null
 * when there is none. Thresholds and embeddings belong to weights, so a profile of the same architecture keeps
 * neither: no verdict ends a search, and only near-duplicates are retrieved, as without a profile.
 *
 * @throws ServiceError MODEL_INVALID when a file of a folder cannot be read
 */
export async function findMeasuredProfile(
  folder: string,
  { weights, architecture }: MeasuredOn,
): Promise<MeasuredProfile | null> {
  const advice = 'make the profile again with circadian model profile'
  let similar: Omit<MeasuredProfile, 'match'> | null = null
  for (const name of await namesIn(folder)) {
    const path = join(folder, name)
    const on = await readJsonIfThere(path, 'measured-on.json').catch(() => null)
    const isSame = on?.['weights'] === weights
    const isSimilar = similar === null && isDeepStrictEqual(on?.['architecture'], architecture)
    if (!isSame && !isSimilar) continue
    const found = {
      name,
      folder: await realpath(path),
      source: await readJson(path, 'circadian.json', advice),
    }
    if (isSame) return { ...found, match: 'weights' }
    similar = found
  }
  return similar && { ...similar, source: withoutThresholds(similar.source), match: 'architecture' }
}

/** Thresholds of a profile that was not measured on the weights. */
const CAREFUL = { stopReward: 0, minSimilarity: 0.98 }

function withoutThresholds({ embedding: _, defaults, ...rest }: JsonObject): JsonObject {
  const { admitReward, admitConfidence, policy, ...kept } = Object(defaults) as Record<string, unknown>
  return { ...rest, defaults: { ...kept, ...CAREFUL } }
}
