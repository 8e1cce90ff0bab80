-- Deletion of all episodes of a tenant, in bites: a cut-off hides them at once, a record counts what is gone.
-- Also the ancestry of episodes whose ancestors expired, and the weight of thoughts that stand for others.

-- Episodes of a tenant up to `erased_until` are erased, or hidden until they are. Stays for ever: no episode is
-- ever stored at or before it.
create table tenant_cutoffs (
  tenant_id text primary key,
  erased_until timestamptz(3) not null
);

create function erased_until(tenant text) returns timestamptz language sql stable as $$
  select coalesce((select erased_until from tenant_cutoffs where tenant_id = tenant), '-infinity')
$$;

-- Records of deletions. A tenant has at most one that is unfinished.
create table deletions (
  tenant_id text not null,
  id uuid not null default gen_random_uuid(),
  -- Episodes up to here are still to be erased. Bites take the newest first, so it moves into the past.
  remaining_until timestamptz(3) not null,
  requested_at timestamptz not null default now(),
  started_at timestamptz,
  last_bite_at timestamptz,
  finished_at timestamptz,
  episodes integer not null default 0,
  candidates integer not null default 0,
  thoughts integer not null default 0,
  latents integer not null default 0,
  -- Outbox rows.
  jobs integer not null default 0,
  -- Kept episodes that erased ones had led, and that steer no longer.
  withdrawn integer not null default 0,
  -- Artifacts that were trained on erased episodes.
  artifacts uuid[] not null default '{}',
  primary key (tenant_id, id)
);

create unique index deletions_unfinished on deletions (tenant_id) where finished_at is null;

-- Orders inserts after the cut-off, whatever the clocks of the processes show. The request for a deletion takes
-- the same lock alone: it waits for inserts that have not seen its cut-off. A consolidation that still samples
-- answers to a question of erased episodes must not store that question again.
create function insert_after_erasure() returns trigger language plpgsql as $$
declare
  cutoff timestamptz;
begin
  perform pg_advisory_xact_lock_shared(hashtextextended('erasure ' || new.tenant_id, 0));
  select erased_until into cutoff from tenant_cutoffs where tenant_id = new.tenant_id;
  if cutoff is null then
    return new;
  end if;
  if new.origin = 'night' and not exists (
    select from episodes
    where tenant_id = new.tenant_id and fingerprint = new.fingerprint
      and hashtextextended(question, 0) = hashtextextended(new.question, 0)
      and question = new.question and created_at > cutoff
  ) then
    return null;
  end if;
  new.created_at := greatest(new.created_at, cutoff + interval '1 millisecond');
  return new;
end
$$;

create trigger episodes_after_erasure before insert on episodes
  for each row execute function insert_after_erasure();

-- As before, and a hidden ancestor counts as deleted.
create or replace function is_withdrawn(episode episodes) returns boolean language sql stable as $$
  select episode.verdict is not true and exists (
    select from unnest(episode.ancestors) as ancestor (id)
    left join episodes as found on found.tenant_id = episode.tenant_id and found.id = ancestor.id
    where found.id is null or found.created_at <= erased_until(episode.tenant_id)
      or found.verdict is false or found.withdrawn
  )
$$;

-- As before, without hidden episodes.
create or replace function withdraw_descendants(tenant text, changed uuid[]) returns void language plpgsql as $$
declare
  cutoff constant timestamptz := erased_until(tenant);
begin
  while cardinality(changed) > 0 loop
    with altered as (
      update episodes as descendant set withdrawn = not withdrawn
      where tenant_id = tenant and ancestors && changed and created_at > cutoff
        and withdrawn <> is_withdrawn(descendant)
      returning id
    )
    select array_agg(id) into changed from altered;
  end loop;
end
$$;

-- What deleted episodes dominated or superseded comes back. A transaction that deletes by age or capacity has set
-- `circadian.deletion` to 'expired'; every other deletion erases. Descendants of erased episodes are withdrawn
-- unless confirmed. Expiry refutes nothing, so descendants of expired ones go on, with the ancestors of these in
-- their place: what is erased later is still found. A refuted or withdrawn ancestor stays in the list and counts as
-- deleted. Hidden episodes are left alone, because they are about to be erased as well.
create or replace function refresh_after_delete() returns trigger language plpgsql as $$
declare
  expired constant boolean := coalesce(current_setting('circadian.deletion', true), '') = 'expired';
  deleted record;
begin
  update episodes as released set dominated_by = null
  from gone
  where released.tenant_id = gone.tenant_id and released.dominated_by = gone.id
    and released.created_at > erased_until(gone.tenant_id);

  update episodes as older set superseded_by = superseding_episode(older)
  from (select distinct tenant_id, fingerprint, question from gone where verdict) as asked
  where older.tenant_id = asked.tenant_id and older.fingerprint = asked.fingerprint
    and hashtextextended(older.question, 0) = hashtextextended(asked.question, 0)
    and older.question = asked.question
    and older.created_at > erased_until(asked.tenant_id)
    and older.superseded_by is distinct from superseding_episode(older);

  if expired then
    with recursive passed as (
      -- A confirmed episode stands whatever becomes of its ancestors.
      select tenant_id, id, case when verdict then '{}' else ancestors end as ancestors from gone
      where verdict is distinct from false and not withdrawn
    ),
    lineage (tenant_id, id, ancestor) as (
      select tenant_id, passed.id, ancestor.id from passed, unnest(ancestors) as ancestor (id)
      union
      select lineage.tenant_id, lineage.id, ancestor.id
      from lineage
      join passed on passed.tenant_id = lineage.tenant_id and passed.id = lineage.ancestor,
        unnest(passed.ancestors) as ancestor (id)
    )
    update episodes as descendant set ancestors = array(
      select id from (
        select own.id from unnest(descendant.ancestors) as own (id)
        union
        select ancestor from lineage
        where lineage.tenant_id = descendant.tenant_id and lineage.id = any (descendant.ancestors)
      ) as ancestor
      where not exists (
        select from passed where passed.tenant_id = descendant.tenant_id and passed.id = ancestor.id
      )
    )
    from (select tenant_id, array_agg(id) as ids from passed group by tenant_id) as expired_of
    where descendant.tenant_id = expired_of.tenant_id and descendant.ancestors && expired_of.ids;
    return null;
  end if;

  for deleted in select tenant_id, array_agg(id) as ids from gone group by tenant_id loop
    perform withdraw_descendants(deleted.tenant_id, deleted.ids);
  end loop;
  return null;
end
$$;

-- Number of thoughts of the same label and episode that a thought stands for, itself included: above 1 once
-- the others were deleted (src/episodes/sql/thin-thoughts.ts). Their sum in an episode stays the same.
alter table candidate_thoughts add column stands_for double precision not null default 1 check (stands_for >= 1);
