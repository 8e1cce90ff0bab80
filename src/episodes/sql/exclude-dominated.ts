import { type Database, transaction } from '#database'
import { KEPT_OF_TENANT } from './kept-episodes.ts'
import { NEAR_DUPLICATE_DISTANCE } from './near-duplicates.ts'
import { lockSteering } from './relabel-candidates.ts'

/**
 * Compares one batch (positions `$4` to `$5` by age) with all of the tenant's newest `$3` retrievable
 * episodes, and excludes each that has a better near-duplicate among them. Better means confirmed, then a higher
 * reward, then fewer iterations, then newer: an order without ties, so the best of a cluster remains. Rewards of
 * different judges do not compare: of their episodes, only a confirmed one excludes an unconfirmed one. A refuted
 * episode is not retrievable and excludes none. Embeddings
 * have unit length already; normalising them again makes Postgres fetch each one once rather than once per
 * comparison.
 */
const SQL = `
  with newest as materialized (
    select id, created_at, question, l2_normalize(embedding) as embedding, judge_fingerprint,
      coalesce(verdict, false) as confirmed, (coalesce(verdict, false), reward, -iterations, created_at, id) as rank,
      row_number() over (order by created_at desc, id desc) as age
    from episodes
    where tenant_id = $1 and fingerprint = $2 and steers and ${KEPT_OF_TENANT}
    order by created_at desc, id desc
    limit $3
  )
  update episodes set dominated_by = pair.better_id
  from (
    select worse.id, better.id as better_id
    from newest as worse cross join lateral (
      select id from newest as better
      where better.rank > worse.rank
        and (better.judge_fingerprint = worse.judge_fingerprint or better.confirmed > worse.confirmed)
        and (better.question = worse.question or better.embedding <=> worse.embedding <= $6)
      order by better.rank desc
      limit 1
    ) as better
    where worse.age > $4 and worse.age <= $5
  ) as pair
  where tenant_id = $1 and steers and episodes.id = pair.id`

/** Number of a tenant's newest episodes that are compared with each other; it bounds the cost. */
const MAX_COMPARED_EPISODES = 1_000
/** Number of episodes that one statement compares with the others, so that no statement takes long. */
const BATCH_EPISODES = 100

/**
 * Excludes dominated near-duplicates from retrieval, among the newest 1,000 episodes of a tenant and model.
 * Of episodes with the same question, or with embeddings of a cosine similarity of .999 or more, only the
 * best remains retrievable. An excluded episode comes back when the better one stops steering. Nothing is
 * deleted: questions, answers, labels and latents stay, and the latent reward model is still trained on them.
 * Idempotent.
 *
 * @returns the number of episodes excluded
 */
export async function excludeDominated(
  database: Pick<Database, 'pool'>,
  tenantId: string,
  fingerprint: string,
): Promise<number> {
  let excluded = 0
  // Oldest batch first: excluding an episode shifts only older ones, whose positions have been covered
  // already.
  for (let until = MAX_COMPARED_EPISODES; until > 0; until -= BATCH_EPISODES) {
    const values = [
      tenantId,
      fingerprint,
      MAX_COMPARED_EPISODES,
      until - BATCH_EPISODES,
      until,
      NEAR_DUPLICATE_DISTANCE,
    ]
    // Without the lock, an episode that is refuted or deleted meanwhile would exclude others for ever.
    excluded += await transaction(database, 'exclude dominated episodes', async (client) => {
      await lockSteering(client, tenantId)
      return (await client.query(SQL, values)).rowCount ?? 0
    })
  }
  return excluded
}
