/** @file The learning store: whether learning is frozen, for all processes of the instance. */

import { type Database, storableText } from '#database'
import { freezeLearning, learningState, unfreezeLearning } from './sql/learning-state.ts'
import type { LearningStore } from './stores.ts'

/** Creates the store over Postgres. Any number of processes may use it at once. */
export function createLearningStore({
  database,
}: {
  readonly database: Pick<Database, 'pool'>
}): LearningStore {
  return {
    state: () => learningState(database),
    freeze: ({ reason } = {}) => freezeLearning(database, reason === undefined ? null : storableText(reason)),
    unfreeze: () => unfreezeLearning(database),
  }
}
