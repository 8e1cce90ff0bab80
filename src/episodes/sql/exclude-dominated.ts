import { type Database, query } from '#database'

/**
 * Of the newest steering episodes of a tenant, some are looked at; each that has a better near-duplicate among the newest stops
 * steering. Better: a higher reward, then fewer iterations, then newer: an order without ties, so the best of a cluster stays.
 * Embeddings are of unit length: normalising them once more only makes each of them be fetched once, not for every comparison.
 */
const SQL = `
  with newest as materialized (
    select id, created_at, question, l2_normalize(embedding) as embedding, reward, iterations,
      row_number() over (order by created_at desc, id desc) as age
    from episodes
    where tenant_id = $1 and fingerprint = $2 and steers
    order by created_at desc, id desc
    limit $3
  )
  update episodes set steers = false
  where tenant_id = $1 and steers and id in (
    select worse.id from newest as worse
    where worse.age > $4 and worse.age <= $5 and exists (
      select from newest as better
      where (better.reward, -better.iterations, better.created_at, better.id)
          > (worse.reward, -worse.iterations, worse.created_at, worse.id)
        and (better.question = worse.question or better.embedding <=> worse.embedding <= $6)
    )
  )`

/** Of a tenant, the newest are compared with each other: the cost of a night is bounded. */
const MAX_COMPARED_EPISODES = 1_000
/** Looked at by one statement, so that none takes long. */
const BATCH_EPISODES = 100
/** Cosine distance of near-duplicates: a similarity of .999. */
const NEAR_DUPLICATE_DISTANCE = 0.001

/**
 * Ends the influence of dominated near-duplicates among the newest 1,000 episodes of a tenant and model: of those with the same
 * question, or embeddings of a cosine of .999 or more, the best goes on steering. Nothing is deleted: questions, answers,
 * labels and latents stay, and the latent reward model goes on learning from them. Doing it again changes nothing more.
 *
 * @returns how many stopped steering
 */
export async function excludeDominated(
  database: Pick<Database, 'pool'>,
  tenantId: string,
  fingerprint: string,
): Promise<number> {
  let excluded = 0
  // From the oldest on: what is excluded moves nobody into a place that was passed.
  for (let until = MAX_COMPARED_EPISODES; until > 0; until -= BATCH_EPISODES) {
    const values = [
      tenantId,
      fingerprint,
      MAX_COMPARED_EPISODES,
      until - BATCH_EPISODES,
      until,
      NEAR_DUPLICATE_DISTANCE,
    ]
    const { rowCount } = await query(database, 'exclude dominated episodes', SQL, values)
    excluded += rowCount ?? 0
  }
  return excluded
}
