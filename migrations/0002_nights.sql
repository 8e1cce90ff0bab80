-- What nights learn from and what they make: latent thoughts, consolidations, versions of weaver and latent reward model.
--
-- Artifacts and consolidations have no tenant in their keys: the tenants of an instance share a model, and so its weaver and its
-- latent reward model. What a tenant gives away by that is bounded (its share of a training set is capped) and on record
-- (artifact_episodes); retrieval of episodes stays within a tenant. Both tables are small: spread over several machines
-- they are copied to each.

-- Latent thoughts of judged answers, fp16, row-major [layers, width], little-endian. A table of their own, like latents: only
-- nights read them.
create table candidate_thoughts (
  tenant_id text not null,
  episode_id uuid not null,
  position integer not null,
  layers integer not null,
  width integer not null,
  thought bytea not null,
  primary key (tenant_id, episode_id, position),
  foreign key (tenant_id, episode_id, position) references candidates on delete cascade,
  check (octet_length(thought) = 2 * layers * width)
);

alter table candidate_thoughts alter column thought set storage external;

-- Across tenants, for nights: the episodes of one model, and how many are new.
create index episodes_of_model on episodes (fingerprint, created_at);

create table consolidations (
  id uuid primary key default gen_random_uuid(),
  fingerprint text not null,
  kinds text[] not null,
  force boolean not null,
  trigger text not null check (trigger in ('request', 'schedule', 'episodes')),
  status text not null default 'queued' check (status in ('queued', 'running', 'promoted', 'rejected', 'failed')),
  -- How often a worker began it: one that kills its workers must come to an end.
  attempts integer not null default 0,
  step text,
  progress double precision not null default 0 check (progress between 0 and 1),
  created_at timestamptz not null default now(),
  started_at timestamptz,
  finished_at timestamptz,
  episodes integer not null default 0,
  artifacts jsonb not null default '[]',
  error text,
  check ((finished_at is null) = (status in ('queued', 'running')))
);

-- Never two at once for one model.
create unique index consolidations_unfinished on consolidations (fingerprint) where status in ('queued', 'running');
create index consolidations_newest on consolidations (created_at desc, id desc);

create table consolidation_steps (
  consolidation_id uuid not null references consolidations on delete cascade,
  step text not null,
  -- Ids, counts and metrics; never a question or an answer.
  result jsonb not null check (jsonb_typeof(result) <> 'null'),
  finished_at timestamptz not null default now(),
  primary key (consolidation_id, step)
);

create table artifacts (
  id uuid primary key default gen_random_uuid(),
  consolidation_id uuid not null references consolidations,
  kind text not null check (kind in ('weaver', 'lrm')),
  fingerprint text not null,
  -- Its version, counted by kind and model.
  number integer not null,
  -- Of the bytes, in hexadecimal digits.
  sha256 text not null,
  -- One ONNX file.
  bytes bytea not null,
  manifest jsonb not null,
  metrics jsonb not null,
  baseline jsonb not null,
  -- How many episodes it was trained on; which ones stands in artifact_episodes.
  episodes integer not null,
  status text not null default 'candidate' check (status in ('candidate', 'promoted', 'rejected')),
  reason text,
  active boolean not null default false,
  -- Some episode that it was trained on has been deleted.
  stale boolean not null,
  created_at timestamptz not null default now(),
  unique (fingerprint, kind, number),
  unique (consolidation_id, kind)
);

alter table artifacts alter column bytes set storage external;

-- At most one serves a model.
create unique index artifacts_active on artifacts (fingerprint, kind) where active;
create index artifacts_newest on artifacts (created_at desc, id desc);

-- Which artifacts were trained on an episode. No key to episodes: the record outlives them.
create table artifact_episodes (
  tenant_id text not null,
  episode_id uuid not null,
  artifact_id uuid not null references artifacts on delete cascade,
  position integer not null,
  primary key (tenant_id, episode_id, artifact_id),
  unique (artifact_id, position)
);

-- An artifact that is being added while its episodes are being deleted: whoever comes second waits for this table's lock, and
-- then sees what the first has done. Ids in order, so that two deletions never wait for each other.
create function mark_stale_artifacts() returns trigger language plpgsql as $$
begin
  if exists (select from deleted) then
    lock table artifact_episodes in share mode;
    update artifacts set stale = true
    where id in (
      select id from artifacts
      where not stale and id in (
        select artifact_id from artifact_episodes
        join deleted on deleted.tenant_id = artifact_episodes.tenant_id and deleted.id = artifact_episodes.episode_id
      )
      order by id
      for update
    );
  end if;
  return null;
end
$$;

create trigger episodes_deleted after delete on episodes
referencing old table as deleted
for each statement execute function mark_stale_artifacts();

-- Work for the whole instance (kind 'consolidation.run') stands in the outbox under the tenant ''. No request has that tenant.
