/** @file Passes over models: a change with its precondition and postcondition. */

import { ServiceError } from '#errors'
import type { Model } from './model.ts'
import { modelFaults } from './validate.ts'

export interface Pass {
  readonly name: string
  /** Describes the unmet precondition; null = met. */
  requires?(model: Model): string | null
  /** Returns the changed model, or the same object when there was nothing to change. Never mutates. */
  apply(model: Model): Model
  /** Describes the broken postcondition; null = met. */
  ensures?(after: Model, before: Model): string | null
}

export interface PassResult {
  readonly model: Model
  readonly modified: boolean
}

/**
 * Runs a pass between its checks. Every pass also requires and ensures valid names (`modelFaults`).
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
