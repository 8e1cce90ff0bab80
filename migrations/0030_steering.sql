-- Steering: which episodes may influence other requests. The column `steers` stays, because retrieval and its
-- indexes filter by it, but no statement writes it any more: a trigger derives it from the columns below.

-- Weight of a label in training, beside the weight of its source: the share of the samples that agree, for a
-- majority; 1 for every other source.
alter table candidates
  add column label_weight double precision check (label_weight > 0 and label_weight <= 1);

alter table episodes
  -- Whether episode_latents has a row.
  add column has_latents boolean not null default false,
  -- Label of the returned answer by feedback or reference: true is confirmed, false is refuted, null is neither.
  add column verdict boolean,
  -- Better near-duplicate of this episode.
  add column dominated_by uuid,
  -- Newest confirmed episode of the same question, when it is newer and has another answer.
  add column superseded_by uuid,
  -- Episodes whose latents moved the start of the returned answer.
  add column ancestors uuid[] not null default '{}',
  -- Not confirmed, and an ancestor has been deleted, refuted or withdrawn.
  add column withdrawn boolean not null default false;

create index episodes_question on episodes (tenant_id, fingerprint, hashtextextended(question, 0));
create index episodes_dominated on episodes (tenant_id, dominated_by) where dominated_by is not null;
create index episodes_descendants on episodes using gin (ancestors);

-- Label of the returned answer by feedback or reference.
create function episode_verdict(episode episodes) returns boolean language sql stable as $$
  select label from candidates
  where tenant_id = episode.tenant_id and episode_id = episode.id and chosen
    and label_source in ('feedback', 'reference')
$$;

-- Id of the episode that supersedes this one.
create function superseding_episode(episode episodes) returns uuid language sql stable as $$
  select case when newest.answer is distinct from episode.answer then newest.id end from (
    select id, answer from episodes
    where tenant_id = episode.tenant_id and fingerprint = episode.fingerprint
      and hashtextextended(question, 0) = hashtextextended(episode.question, 0)
      and question = episode.question and verdict
      and (created_at, id) > (episode.created_at, episode.id)
    order by created_at desc, id desc
    limit 1
  ) as newest
$$;

create function is_withdrawn(episode episodes) returns boolean language sql stable as $$
  select episode.verdict is not true and exists (
    select from unnest(episode.ancestors) as ancestor (id)
    left join episodes as found on found.tenant_id = episode.tenant_id and found.id = ancestor.id
    where found.id is null or found.verdict is false or found.withdrawn
  )
$$;

-- The only definition of `steers`.
create function derive_steers() returns trigger language plpgsql as $$
begin
  if tg_op = 'INSERT' and new.ancestors <> '{}' then
    new.withdrawn := is_withdrawn(new);
  end if;
  new.steers := new.admitted and new.has_latents and new.verdict is not false
    and new.dominated_by is null and new.superseded_by is null and not new.withdrawn;
  return new;
end
$$;

create trigger episodes_steers before insert or update on episodes
  for each row execute function derive_steers();

-- Episodes that were excluded in favour of one that no longer steers come back. The next consolidation compares
-- them again. One that was dominated itself may still have others excluded from an earlier comparison.
create function release_dominated() returns trigger language plpgsql as $$
begin
  update episodes set dominated_by = null where tenant_id = new.tenant_id and dominated_by = new.id;
  return null;
end
$$;

create trigger episodes_release after update on episodes
  for each row when (
    (old.steers or old.dominated_by is not null) and not new.steers and new.dominated_by is null
  )
  execute function release_dominated();

-- Derives `withdrawn` of all descendants of the changed episodes, one generation at a time.
create function withdraw_descendants(tenant text, changed uuid[]) returns void language plpgsql as $$
begin
  while cardinality(changed) > 0 loop
    with altered as (
      update episodes as descendant set withdrawn = not withdrawn
      where tenant_id = tenant and ancestors && changed and withdrawn <> is_withdrawn(descendant)
      returning id
    )
    select array_agg(id) into changed from altered;
  end loop;
end
$$;

-- Derives the steering of an episode, of the episodes of its question and of its descendants from its labels.
create function refresh_steering(tenant text, episode_id uuid) returns void language plpgsql as $$
begin
  -- A new verdict also puts a dominated episode back into the comparison.
  update episodes as episode set verdict = episode_verdict(episode), dominated_by = null
  where tenant_id = tenant and id = episode_id and verdict is distinct from episode_verdict(episode);

  update episodes as episode set withdrawn = not withdrawn
  where tenant_id = tenant and id = episode_id and withdrawn <> is_withdrawn(episode);

  update episodes as older set superseded_by = superseding_episode(older)
  from episodes as labelled
  where labelled.tenant_id = tenant and labelled.id = episode_id
    and older.tenant_id = tenant and older.fingerprint = labelled.fingerprint
    and hashtextextended(older.question, 0) = hashtextextended(labelled.question, 0)
    and older.question = labelled.question
    and older.superseded_by is distinct from superseding_episode(older);

  perform withdraw_descendants(tenant, array[episode_id]);
end
$$;

-- What deleted episodes dominated or superseded comes back; their unconfirmed descendants are withdrawn.
create function refresh_after_delete() returns trigger language plpgsql as $$
declare
  deleted record;
begin
  update episodes as released set dominated_by = null
  from gone where released.tenant_id = gone.tenant_id and released.dominated_by = gone.id;

  update episodes as older set superseded_by = superseding_episode(older)
  from (select distinct tenant_id, fingerprint, question from gone where verdict) as asked
  where older.tenant_id = asked.tenant_id and older.fingerprint = asked.fingerprint
    and hashtextextended(older.question, 0) = hashtextextended(asked.question, 0)
    and older.question = asked.question
    and older.superseded_by is distinct from superseding_episode(older);

  for deleted in select tenant_id, array_agg(id) as ids from gone group by tenant_id loop
    perform withdraw_descendants(deleted.tenant_id, deleted.ids);
  end loop;
  return null;
end
$$;

create trigger episodes_steering_deleted after delete on episodes
  referencing old table as gone
  for each statement execute function refresh_after_delete();

-- Labels by majority were by the most frequent answer. Those with less than half of the samples fall back on
-- self-reward.
update candidates set label_weight = 1 where label is not null;

with agreement as (
  select tenant_id, episode_id,
    (count(*) filter (where label and label_source = 'majority'))::double precision / count(*) as share
  from candidates where kind = 'sample'
  group by tenant_id, episode_id
)
update candidates set
  label = case when share >= 0.5 then label else admissible and answer is not null end,
  label_source = case when share >= 0.5 then 'majority' else 'self' end,
  label_weight = case when share >= 0.5 then share else 1 end
from agreement
where candidates.tenant_id = agreement.tenant_id and candidates.episode_id = agreement.episode_id
  and label_source = 'majority';

alter table candidates add check ((label is null) = (label_weight is null));

-- Episodes that were excluded as near-duplicates come back until the next consolidation compares them again.
update episodes as episode set
  has_latents = exists (
    select from episode_latents
    where episode_latents.tenant_id = episode.tenant_id and episode_latents.episode_id = episode.id
  ),
  verdict = episode_verdict(episode);

update episodes as older set superseded_by = superseding_episode(older)
where superseding_episode(older) is not null;
