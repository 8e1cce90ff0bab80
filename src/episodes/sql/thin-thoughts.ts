import { type Database, query } from '#database'
import type { TrainingKey } from '../training-store.ts'
import { WANTED_EPISODES, wantedValues } from './wanted-episodes.ts'

/** Number of thoughts of right answers, and of wrong ones, that an episode keeps. */
const MAX_THOUGHTS_PER_LABEL = 4

/**
 * Ranks the thoughts of each episode and label: the returned answer first, then one of each different answer, so
 * that an answer which feedback confirms later has a thought, then by reward. Those that stay share the weight of
 * those that go. Leaves alone what a caller has labelled: it is little, and the gate compares choices with the
 * majority of all of these answers.
 */
const SQL = `
  with found as (
    select tenant_id, episode_id, position, label, chosen, candidates.answer, candidates.reward, stands_for
    from ${WANTED_EPISODES}
    join candidates using (tenant_id, episode_id)
    join candidate_thoughts using (tenant_id, episode_id, position)
    join episodes using (tenant_id)
    where episodes.id = episode_id and fingerprint = $1 and label is not null
      and episodes.reference is null and feedback_correct is null and feedback_answer is null
  ),
  numbered as (
    select *, row_number() over (
      partition by tenant_id, episode_id, label, answer order by chosen desc, reward desc, position
    ) as nth_of_answer
    from found
  ),
  ranked as (
    select *,
      row_number() over (
        partition by tenant_id, episode_id, label
        order by chosen desc, nth_of_answer, reward desc, position
      ) as place,
      sum(stands_for) over (partition by tenant_id, episode_id, label) as weight,
      count(*) over (partition by tenant_id, episode_id, label) as thoughts
    from numbered
  ),
  kept as (
    update candidate_thoughts as thought set stands_for = weight / $4
    from ranked
    where thoughts > $4 and place <= $4 and thought.tenant_id = ranked.tenant_id
      and thought.episode_id = ranked.episode_id and thought.position = ranked.position
  )
  delete from candidate_thoughts as thought
  using ranked
  where place > $4 and thought.tenant_id = ranked.tenant_id
    and thought.episode_id = ranked.episode_id and thought.position = ranked.position`

/**
 * Deletes the thoughts of these episodes beyond four of right and four of wrong answers. Idempotent.
 * @returns the number of deleted thoughts
 */
export async function thinThoughts(
  database: Pick<Database, 'pool'>,
  fingerprint: string,
  episodes: readonly TrainingKey[],
): Promise<number> {
  const values = [...wantedValues(fingerprint, episodes), MAX_THOUGHTS_PER_LABEL]
  return (await query(database, 'thin thoughts', SQL, values)).rowCount ?? 0
}
