import { type Database, query } from '#database'
import type { LearningDay } from '../training-store.ts'
import { KEPT } from './kept-episodes.ts'

/**
 * Counts the questions of requests by day (UTC), strategy and versions. `verdict`: what feedback or reference say of
 * the answer. An answer is a first pass when it passed before the first step of a search, as in the gate of the weaver.
 */
const SQL = `
  select
    to_char(created_at at time zone 'UTC', 'YYYY-MM-DD') as day, strategy,
    weaver_version as "weaverVersion", reward_model_version as "lrmVersion", judge_version as "judgeVersion",
    count(*)::integer as episodes,
    (count(*) filter (where verdict is not null))::integer as labelled,
    (count(*) filter (where verdict))::integer as "right",
    (count(*) filter (where stopped = 'reward' and iterations = 0))::integer as "firstPass",
    sum(iterations)::double precision as steps,
    sum(generated_tokens)::double precision as tokens
  from episodes
  where fingerprint = $1 and origin = 'request' and ${KEPT}
    and created_at >= date_trunc('day', now() at time zone 'UTC') at time zone 'UTC' - make_interval(days => $2 - 1)
  group by 1, 2, 3, 4, 5
  order by 1, 2, 3, 4, 5`

/** Returns the figures of the last `days` days, today included; days without episodes are absent. */
export async function learningDays(
  database: Pick<Database, 'pool'>,
  { fingerprint, days }: { readonly fingerprint: string; readonly days: number },
): Promise<readonly LearningDay[]> {
  return (await query<LearningDay>(database, 'learning days', SQL, [fingerprint, days])).rows
}
