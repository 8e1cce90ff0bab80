-- Latent thoughts, consolidations, and artifacts: versions of weaver and latent reward model.
--
-- Artifacts and consolidations have no tenant in their keys: the tenants of an instance share a model, and
-- so its weaver and its latent reward model. The influence of each tenant is bounded (its share of a
-- training set is capped) and recorded (artifact_episodes); retrieval of episodes stays within a tenant.
-- Both tables are small: when tenants are spread over several machines, each machine has a copy.

-- Latent thoughts of judged answers, fp16, row-major [layers, width], little-endian. They have a table of
-- their own, like latents, because only consolidations read them.
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

-- Across tenants, for consolidations: the episodes of one model, and the number of new ones.
create index episodes_of_model on episodes (fingerprint, created_at);

create table consolidations (
  id uuid primary key default gen_random_uuid(),
  fingerprint text not null,
  kinds text[] not null,
  force boolean not null,
  trigger text not null check (trigger in ('request', 'schedule', 'episodes')),
  status text not null default 'queued' check (status in ('queued', 'running', 'promoted', 'rejected', 'failed')),
  -- Number of times a worker began it; a consolidation that crashes its worker too often is marked failed.
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

-- At most one unfinished consolidation per model.
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
  -- Version number, counted by kind and model.
  number integer not null,
  -- SHA-256 of the bytes, in hexadecimal digits.
  sha256 text not null,
  -- One ONNX file.
  bytes bytea not null,
  manifest jsonb not null,
  metrics jsonb not null,
  baseline jsonb not null,
  -- Number of episodes on which it was trained; artifact_episodes lists them.
  episodes integer not null,
  status text not null default 'candidate' check (status in ('candidate', 'promoted', 'rejected')),
  reason text,
  active boolean not null default false,
  -- Whether an episode on which it was trained has been deleted.
  stale boolean not null,
  created_at timestamptz not null default now(),
  unique (fingerprint, kind, number),
  unique (consolidation_id, kind)
);

alter table artifacts alter column bytes set storage external;

-- At most one active version per model and kind.
create unique index artifacts_active on artifacts (fingerprint, kind) where active;
create index artifacts_newest on artifacts (created_at desc, id desc);

-- The artifacts trained on each episode. No foreign key to episodes, because these rows outlive them.
create table artifact_episodes (
  tenant_id text not null,
  episode_id uuid not null,
  artifact_id uuid not null references artifacts on delete cascade,
  position integer not null,
  primary key (tenant_id, episode_id, artifact_id),
  unique (artifact_id, position)
);

-- Marks artifacts stale when their episodes are deleted. When an artifact is added while its episodes are
-- deleted, the second transaction waits for this table's lock and then sees the rows of the first. Ids are
-- locked in order, so that two deletions never deadlock.
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

-- Work for the whole instance (kind 'consolidation.run') is in the outbox under the tenant ''. No request
-- has that tenant.
