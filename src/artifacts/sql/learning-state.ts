/** @file The one row of `learning`: whether learning is frozen. */

import { type Database, query } from '#database'
import type { LearningState } from '../stores.ts'

const GET = 'select frozen_since, reason from learning'

/** The first freeze stays, with its time and reason. */
const FREEZE = `
  update learning set
    reason = case when frozen_since is null then $1 else reason end,
    frozen_since = coalesce(frozen_since, now())
  returning frozen_since, reason`

const UNFREEZE = 'update learning set frozen_since = null, reason = null returning frozen_since, reason'

interface Row {
  readonly frozen_since: Date | null
  readonly reason: string | null
}

export function learningState(database: Pick<Database, 'pool'>): Promise<LearningState> {
  return stateAfter(database, 'learning state', GET)
}

export function freezeLearning(
  database: Pick<Database, 'pool'>,
  reason: string | null,
): Promise<LearningState> {
  return stateAfter(database, 'freeze learning', FREEZE, [reason])
}

export function unfreezeLearning(database: Pick<Database, 'pool'>): Promise<LearningState> {
  return stateAfter(database, 'unfreeze learning', UNFREEZE)
}

async function stateAfter(
  database: Pick<Database, 'pool'>,
  operation: string,
  sql: string,
  values: readonly unknown[] = [],
): Promise<LearningState> {
  const { rows } = await query<Row>(database, operation, sql, values)
  if (rows[0] === undefined) throw new Error(`${operation}: expected the row of learning, got none`)
  return { frozenSince: rows[0].frozen_since?.toISOString() ?? null, reason: rows[0].reason }
}
