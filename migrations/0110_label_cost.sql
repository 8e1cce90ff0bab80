-- Labels of a question that was asked often. Until now, each label of such a question derived the steering of all its
-- episodes anew, 0.1 s for 10,000 of them, although it rarely changes any of them.

-- Newest confirmed episode of the same question.
create function newest_confirmed(episode episodes) returns table (id uuid, answer text) language sql stable as $$
  select id, answer from episodes
  where tenant_id = episode.tenant_id and fingerprint = episode.fingerprint
    and hashtextextended(question, 0) = hashtextextended(episode.question, 0)
    and question = episode.question and verdict
  order by created_at desc, id desc
  limit 1
$$;

-- Derives the steering of an episode, of the episodes of its question and of its descendants from its labels. Which of
-- the others are superseded depends on the newest confirmed answer alone, so they are left alone while it stays. Their
-- `superseded_by` may then name an older confirmed episode with that answer.
create or replace function refresh_steering(tenant text, episode_id uuid) returns void language plpgsql as $$
declare
  labelled episodes;
  before record;
  after record;
  was_confirmed boolean;
begin
  select * into labelled from episodes where tenant_id = tenant and id = episode_id;
  if not found then
    return;
  end if;
  was_confirmed := labelled.verdict is true;
  select id, answer into before from newest_confirmed(labelled);

  -- A new verdict also puts a dominated episode back into the comparison.
  update episodes as episode set verdict = episode_verdict(episode), dominated_by = null
  where tenant_id = tenant and id = episode_id and verdict is distinct from episode_verdict(episode)
  returning * into labelled;
  if not found then
    select * into labelled from episodes where tenant_id = tenant and id = episode_id;
  end if;
  select id, answer into after from newest_confirmed(labelled);

  update episodes as episode set withdrawn = not withdrawn
  where tenant_id = tenant and id = episode_id and withdrawn <> is_withdrawn(episode);

  if (was_confirmed and labelled.verdict is not true)
    or (before.id is null) <> (after.id is null) or before.answer is distinct from after.answer
  then
    update episodes as other set superseded_by = superseding_episode(other)
    where tenant_id = tenant and fingerprint = labelled.fingerprint
      and hashtextextended(question, 0) = hashtextextended(labelled.question, 0)
      and question = labelled.question
      and superseded_by is distinct from superseding_episode(other);
  else
    update episodes as episode set superseded_by = superseding_episode(episode)
    where tenant_id = tenant and id = episode_id
      and superseded_by is distinct from superseding_episode(episode);
  end if;

  perform withdraw_descendants(tenant, array[episode_id]);
end
$$;
