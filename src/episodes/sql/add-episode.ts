import { toSql } from 'pgvector'
import { type Database, query, storableText } from '#database'
import type { NewEpisode } from '../episode.ts'
import { encodeLastStates, encodeLatents, encodeThought } from '../latent-bytes.ts'

/**
 * Adds episode, candidates, thoughts, latents and outbox row in one statement: one transaction, one round
 * trip. All inserts depend on the row that the first one returns, so nothing is added when the id exists.
 * A trigger derives the column `steers` from the others.
 */
const SQL = `
  with episode as (
    insert into episodes (
      tenant_id, id, created_at, fingerprint, model_id, strategy, question, reference, embedding, projection, answer,
      reasoning, reward, base_reward, iterations, evaluations, generated_tokens, stopped, seed, admitted,
      has_latents, ancestors, origin, weaver_version, reward_model_version,
      judge_fingerprint, answer_rules, judge_version
    )
    values (
      $1, $2, coalesce($3, now()), $4, $5, $6, $7, $8, $9::vector, $37::halfvec, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19,
      $21::integer is not null, $32::uuid[], $33, $34, $35, $36, $38, $40
    )
    on conflict do nothing
    returning tenant_id, id
  ),
  added_candidates as (
    insert into candidates (
      tenant_id, episode_id, position, kind, tokens, text, answer, reward, reward_terms, chosen, admissible,
      log_probability, self_certainty
    )
    select
      episode.tenant_id, episode.id, position, kind, tokens, text, answer, reward, reward_terms, chosen,
      admissible, log_probability, self_certainty
    from episode, jsonb_to_recordset($20) as candidate (
      position integer, kind text, tokens integer[], text text, answer text,
      reward double precision, reward_terms jsonb, chosen boolean, admissible boolean,
      log_probability double precision, self_certainty double precision
    )
  ),
  thoughts as (
    insert into candidate_thoughts (tenant_id, episode_id, position, layers, width, thought, last_states)
    select episode.tenant_id, episode.id, position, layers, width,
      substring($29::bytea from start + 1 for 2 * layers * width),
      case when last > 0 then substring($29::bytea from start + 1 + 2 * layers * width for last) end
    from episode, unnest($25::integer[], $26::integer[], $27::integer[], $28::integer[], $39::integer[])
      as thought (position, layers, width, start, last)
  ),
  latents as (
    insert into episode_latents (tenant_id, episode_id, length, width, z_base, z_star)
    select tenant_id, id, $21, $22, $23, $24 from episode where $21::integer is not null
  )
  insert into outbox (tenant_id, kind, payload)
  select tenant_id, 'episode.index', jsonb_strip_nulls(jsonb_build_object(
    'tenantId', tenant_id, 'episodeId', id, 'requestId', $30::text, 'traceparent', $31::text
  ))
  from episode`

interface AddOptions {
  /** Projection of the embedding, `[256]`. */
  readonly projection: Float32Array
  /** null: the time of the database, which is the same for all API processes */
  readonly createdAt: Date | null
  readonly signal: AbortSignal | undefined
}

export async function addEpisode(
  database: Pick<Database, 'pool'>,
  episode: NewEpisode,
  { projection, createdAt, signal }: AddOptions,
): Promise<void> {
  const { latents } = episode
  const candidates = episode.candidates.map((candidate, position) => ({
    position,
    kind: candidate.kind,
    tokens: candidate.tokens,
    text: storableText(candidate.text),
    answer: candidate.answer === null ? null : storableText(candidate.answer),
    reward: candidate.reward,
    reward_terms: candidate.rewardTerms,
    chosen: candidate.chosen,
    admissible: candidate.meetsAdmission,
    log_probability: candidate.logProbability,
    self_certainty: candidate.selfCertainty,
  }))
  const thoughts = episode.candidates.flatMap(({ thought }, position) => {
    const mean = thought === null ? null : encodeThought(thought)
    if (thought === null || mean === null) return []
    const last = encodeLastStates(thought) ?? Buffer.alloc(0)
    return [{ position, thought, bytes: Buffer.concat([mean, last]), last: last.length }]
  })
  const values = [
    episode.tenantId,
    episode.id,
    createdAt,
    episode.fingerprint,
    episode.modelId,
    episode.strategy,
    storableText(episode.question),
    episode.reference,
    toSql(Array.from(episode.embedding)),
    episode.answer === null ? null : storableText(episode.answer),
    storableText(episode.reasoning),
    episode.reward,
    episode.baseReward,
    episode.iterations,
    episode.evaluations,
    episode.generatedTokens,
    episode.stopped,
    episode.seed,
    episode.admitted,
    JSON.stringify(candidates),
    latents?.zStar.length ?? null,
    latents?.zStar.width ?? null,
    latents === null ? null : encodeLatents(latents.zBase),
    latents === null ? null : encodeLatents(latents.zStar),
    thoughts.map(({ position }) => position),
    thoughts.map(({ thought }) => thought.layers),
    thoughts.map(({ thought }) => thought.width),
    thoughts.map((_, index) => sizeOf(thoughts.slice(0, index))),
    // One buffer, which the driver sends unchanged; it would write an array of buffers in hexadecimal
    // digits.
    Buffer.concat(thoughts.map(({ bytes }) => bytes)),
    episode.requestId ?? null,
    episode.traceparent ?? null,
    episode.ancestors ?? [],
    episode.origin ?? 'request',
    episode.weaverVersion ?? null,
    episode.lrmVersion ?? null,
    episode.judgeFingerprint,
    toSql(Array.from(projection)),
    episode.answerRules,
    thoughts.map(({ last }) => last),
    episode.judgeVersion ?? null,
  ]
  await query(database, 'add episode', SQL, values, { signal })
}

function sizeOf(thoughts: readonly { readonly bytes: Buffer }[]): number {
  return thoughts.reduce((size, { bytes }) => size + bytes.length, 0)
}
