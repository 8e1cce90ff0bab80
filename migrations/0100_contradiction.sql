-- A judged answer that differs from the newest confirmed answer to its question steers no more than an older one:
-- the same wrong answer, given once more after the correction, came back into memory.
create or replace function superseding_episode(episode episodes) returns uuid language sql stable as $$
  select case when newest.answer is distinct from episode.answer then newest.id end from (
    select id, answer from episodes
    where tenant_id = episode.tenant_id and fingerprint = episode.fingerprint
      and hashtextextended(question, 0) = hashtextextended(episode.question, 0)
      and question = episode.question and verdict and id <> episode.id
      and created_at > erased_until(episode.tenant_id)
      -- Of two confirmed answers the newer one holds.
      and (episode.verdict is not true or (created_at, id) > (episode.created_at, episode.id))
    order by created_at desc, id desc
    limit 1
  ) as newest
$$;

create function supersede_inserted() returns trigger language plpgsql as $$
begin
  new.superseded_by := superseding_episode(new);
  return new;
end
$$;

-- Triggers run in the order of their names: before `episodes_steers`, which reads the column.
create trigger episodes_contradiction before insert on episodes
  for each row execute function supersede_inserted();

update episodes as judged set superseded_by = superseding_episode(judged)
from (select distinct tenant_id, fingerprint, question from episodes where verdict) as asked
where judged.tenant_id = asked.tenant_id and judged.fingerprint = asked.fingerprint
  and hashtextextended(judged.question, 0) = hashtextextended(asked.question, 0)
  and judged.question = asked.question
  and judged.superseded_by is distinct from superseding_episode(judged);
