-- Retention: episodes that expired by age or were erased on request, artifacts without bytes, small records of
-- old consolidations, and an episode's usability as training material in a column.

-- Episodes on which an artifact was trained and that are gone: erased on request, or expired by age. Only
-- erased ones must be unlearned, so only they make an artifact stale.
alter table artifacts
  add column erased_episodes integer not null default 0,
  add column expired_episodes integer not null default 0;

-- Which of the two it was is unknown for earlier deletions: they count as erased.
update artifacts set erased_episodes = greatest(1, (
  select count(*) from artifact_episodes
  where artifact_id = artifacts.id and not exists (
    select from episodes
    where episodes.tenant_id = artifact_episodes.tenant_id and episodes.id = artifact_episodes.episode_id
  )
))
where stale;

alter table artifacts drop column stale;
alter table artifacts add column stale boolean not null generated always as (erased_episodes > 0) stored;

-- Counts deleted episodes in the artifacts that were trained on them. A transaction that deletes by age has
-- set `circadian.deletion` to 'expired'; every other deletion erases. Locks as mark_stale_artifacts did.
create function count_deleted_episodes() returns trigger language plpgsql as $$
declare
  expired constant boolean := coalesce(current_setting('circadian.deletion', true), '') = 'expired';
begin
  if exists (select from deleted) then
    lock table artifact_episodes in share mode;
    perform id from artifacts
    where id in (
      select artifact_id from artifact_episodes
      join deleted on deleted.tenant_id = artifact_episodes.tenant_id and deleted.id = artifact_episodes.episode_id
    )
    order by id
    for update;
    update artifacts set
      erased_episodes = erased_episodes + case when expired then 0 else gone.episodes end,
      expired_episodes = expired_episodes + case when expired then gone.episodes else 0 end
    from (
      select artifact_id, count(*)::integer as episodes from artifact_episodes
      join deleted on deleted.tenant_id = artifact_episodes.tenant_id and deleted.id = artifact_episodes.episode_id
      group by artifact_id
    ) as gone
    where artifacts.id = gone.artifact_id;
  end if;
  return null;
end
$$;

drop trigger episodes_deleted on episodes;
drop function mark_stale_artifacts();

create trigger episodes_deleted after delete on episodes
referencing old table as deleted
for each statement execute function count_deleted_episodes();

-- Versions that nothing can need again lose their bytes and the list of their episodes; their size stays.
alter table artifacts add column size integer;
update artifacts set size = octet_length(bytes);
alter table artifacts alter column size set not null, alter column bytes drop not null;

-- What the snapshots of a consolidation covered: the creation time of the newest episode, and the number of
-- episodes of the model. The next consolidation is due by these two, long after the snapshots are deleted.
alter table consolidations
  add column newest_at timestamptz(3),
  add column covered_episodes integer;

update consolidations set newest_at = covered.newest_at, covered_episodes = covered.episodes
from (
  select consolidation_id, min((result ->> 'newestAt')::timestamptz) as newest_at,
    min((result -> 'counts' ->> 'episodes')::integer) as episodes
  from consolidation_steps where step like 'snapshot.%' group by consolidation_id
) as covered
where consolidations.id = covered.consolidation_id;

-- Whether a candidate of the episode has both a label and a thought. Snapshots of a model's whole history
-- read this column from the index below and never the thoughts.
alter table episodes add column has_thoughts boolean not null default false;

update episodes set has_thoughts = true
where exists (
  select from candidate_thoughts join candidates using (tenant_id, episode_id, position)
  where tenant_id = episodes.tenant_id and episode_id = episodes.id and label is not null
);

create index episodes_of_model_and_tenant on episodes (fingerprint, tenant_id, created_at desc, id desc)
  include (status, steers, has_thoughts);

-- Labels are the only part of a candidate that changes. Thoughts are added with the episode, before its labels.
create function note_labelled_thoughts() returns trigger language plpgsql as $$
begin
  update episodes set has_thoughts = not has_thoughts
  from (select distinct tenant_id, episode_id from changed) as changed
  where episodes.tenant_id = changed.tenant_id and episodes.id = changed.episode_id
    and has_thoughts <> exists (
      select from candidate_thoughts as thought join candidates using (tenant_id, episode_id, position)
      where thought.tenant_id = episodes.tenant_id and thought.episode_id = episodes.id and label is not null
    );
  return null;
end
$$;

create trigger candidates_labelled after update on candidates
referencing new table as changed
for each statement execute function note_labelled_thoughts();
