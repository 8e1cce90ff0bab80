/** @file Passes over models: a change, what it needs, and what it promises. */

import { ServiceError } from '#errors'
import type { Model } from './model.ts'
import { modelFaults } from './validate.ts'

export interface Pass {
  readonly name: string
  /** What the pass needs and does not find, in words; null = fine. */
  requires?(model: Model): string | null
  /** The changed model, or the very same object when there was nothing to change. Never mutates. */
  apply(model: Model): Model
  /** What the pass promised and did not deliver, in words; null = fine. */
  ensures?(after: Model, before: Model): string | null
}

export interface PassResult {
  readonly model: Model
  readonly modified: boolean
}

/**
 * Runs a pass between its checks. Sound names (`modelFaults`) are a condition of every pass, before and after.
 * @throws ServiceError GRAPH_PRECONDITION, GRAPH_POSTCONDITION
 */
export function runPass(pass: Pass, before: Model): PassResult {
  const missing = modelFaults(before)[0] ?? pass.requires?.(before)
  if (missing) throw new ServiceError('GRAPH_PRECONDITION', `${pass.name}: ${missing}`)
  const after = pass.apply(before)
  const broken = modelFaults(after)[0] ?? pass.ensures?.(after, before)
  if (broken) throw new ServiceError('GRAPH_POSTCONDITION', `${pass.name}: ${broken}`)
  return { model: after, modified: after !== before }
}

/** Runs passes in order. @throws as `runPass` */
export function runPasses(passes: readonly Pass[], model: Model): PassResult {
  const result = passes.reduce((current, pass) => runPass(pass, current).model, model)
  return { model: result, modified: result !== model }
}
