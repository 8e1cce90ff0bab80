-- Names the rules by which the answers of an episode were brought to keys (src/solving/comparing/answer-key.ts):
-- its answer, its reference, the answer of its feedback and those of its candidates. Until now, keys of different rules
-- were compared: after a change of `answer.compare`, a right answer contradicted the confirmed one of before.
-- Empty for episodes of before this column.
alter table episodes add column answer_rules text not null default '';

-- Whether the keys of two episodes may be compared. Those of before this column compare among themselves, as they
-- always did, and with others of the same judge, whose fingerprint contains the rules of `answer.compare`.
create function same_answer_rules(
  rules text, judge text, other_rules text, other_judge text
) returns boolean language sql immutable as $$
  select rules = other_rules or ('' in (rules, other_rules) and judge = other_judge and judge <> '')
$$;

-- Id of the episode that supersedes this one, among those whose answers compare with its own.
create or replace function superseding_episode(episode episodes) returns uuid language sql stable as $$
  select case when newest.answer is distinct from episode.answer then newest.id end from (
    select id, answer from episodes
    where tenant_id = episode.tenant_id and fingerprint = episode.fingerprint
      and hashtextextended(question, 0) = hashtextextended(episode.question, 0)
      and question = episode.question and verdict and id <> episode.id
      and same_answer_rules(answer_rules, judge_fingerprint, episode.answer_rules, episode.judge_fingerprint)
      and created_at > erased_until(episode.tenant_id)
      -- Of two confirmed answers the newer one holds.
      and (episode.verdict is not true or (created_at, id) > (episode.created_at, episode.id))
    order by created_at desc, id desc
    limit 1
  ) as newest
$$;

-- Newest confirmed episode of the same question, among those whose answers compare with this one's.
create or replace function newest_confirmed(episode episodes)
returns table (id uuid, answer text) language sql stable as $$
  select id, answer from episodes
  where tenant_id = episode.tenant_id and fingerprint = episode.fingerprint
    and hashtextextended(question, 0) = hashtextextended(episode.question, 0)
    and question = episode.question and verdict
    and same_answer_rules(answer_rules, judge_fingerprint, episode.answer_rules, episode.judge_fingerprint)
  order by created_at desc, id desc
  limit 1
$$;

-- Derives anew which episodes of a question are superseded, after the keys of one of them have changed.
create function refresh_superseded(tenant text, episode_id uuid) returns void language sql as $$
  update episodes as other set superseded_by = superseding_episode(other)
  from episodes as changed
  where changed.tenant_id = tenant and changed.id = episode_id
    and other.tenant_id = tenant and other.fingerprint = changed.fingerprint
    and hashtextextended(other.question, 0) = hashtextextended(changed.question, 0)
    and other.question = changed.question
    and other.superseded_by is distinct from superseding_episode(other)
$$;
