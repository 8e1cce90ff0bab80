-- What the service remembers, and the outbox that tells the worker about it.
-- tenant_id leads every primary key: partitioning by tenant or moving tenants to other machines needs no new keys.

create extension if not exists vector;

create table episodes (
  tenant_id text not null,
  id uuid not null,
  -- Milliseconds, which JavaScript dates keep: pages continue after (created_at, id) exactly.
  created_at timestamptz(3) not null,
  status text not null default 'pending' check (status in ('pending', 'indexed')),
  fingerprint text not null,
  model_id text not null,
  strategy text not null,
  question text not null,
  reference text,
  -- Without a fixed width: models differ in hidden width, and share this table.
  embedding vector not null,
  answer text,
  reasoning text not null,
  reward double precision not null,
  base_reward double precision,
  iterations integer not null,
  evaluations integer not null,
  generated_tokens integer not null,
  stopped text not null,
  seed bigint not null,
  admitted boolean not null,
  -- Admitted and with latents: may be found as somebody's neighbour.
  steers boolean not null,
  -- The caller's word, from which labels are derived again whenever it changes. At most one of the two is set.
  feedback_correct boolean,
  feedback_answer text,
  primary key (tenant_id, id),
  check (feedback_correct is null or feedback_answer is null)
);

create index episodes_newest on episodes (tenant_id, created_at desc, id desc);

-- Retrieval compares the query with every episode of one tenant and model that steers. Deliberately no HNSW: up to some
-- 50,000 such rows the exact scan behind this index is fast and has perfect recall (`npm run bench:retrieval`), while an
-- HNSW index filters by tenant after its scan: it loses neighbours of small tenants, and one tenant's rows shape the
-- results of another.
create index episodes_steering on episodes (tenant_id, fingerprint) where steers;

-- Across tenants, for the worker: what it has to catch up on, and what is too old.
create index episodes_pending on episodes (created_at) where status = 'pending';
create index episodes_age on episodes (created_at);

-- Every answer that was judged on the way.
create table candidates (
  tenant_id text not null,
  episode_id uuid not null,
  position integer not null,
  kind text not null check (kind in ('draft', 'regeneration', 'sample')),
  tokens integer[] not null,
  text text not null,
  answer text,
  reward double precision not null,
  reward_terms jsonb not null,
  chosen boolean not null,
  -- Reaches the bar of admission; the label where nobody knows better than self-reward.
  admissible boolean not null,
  label boolean,
  label_source text check (label_source in ('feedback', 'reference', 'majority', 'self')),
  primary key (tenant_id, episode_id, position),
  foreign key (tenant_id, episode_id) references episodes on delete cascade,
  check ((label is null) = (label_source is null))
);

create unique index candidates_chosen on candidates (tenant_id, episode_id) where chosen;

-- Latents of the draft and of the returned answer, fp16, row-major [length, width], little-endian. A table of their own: they are
-- a hundred times larger than the rest, and only the neighbours that were found are read.
create table episode_latents (
  tenant_id text not null,
  episode_id uuid not null,
  length integer not null,
  width integer not null,
  z_base bytea not null,
  z_star bytea not null,
  primary key (tenant_id, episode_id),
  foreign key (tenant_id, episode_id) references episodes on delete cascade,
  check (octet_length(z_base) = 2 * length * width and octet_length(z_star) = 2 * length * width)
);

-- fp16 does not compress; EXTERNAL spares the attempt.
alter table episode_latents alter column z_base set storage external, alter column z_star set storage external;

-- Work for the queue, committed together with what it is about. A row's id is its job's id.
create table outbox (
  tenant_id text not null,
  id uuid not null default gen_random_uuid(),
  sequence bigint generated always as identity,
  kind text not null,
  payload jsonb not null,
  created_at timestamptz not null default now(),
  -- A relay is handing the row over until then; a relay that died lets go by itself.
  claimed_until timestamptz,
  relayed_at timestamptz,
  primary key (tenant_id, id)
);

create index outbox_waiting on outbox (sequence) where relayed_at is null;
create index outbox_relayed on outbox (relayed_at) where relayed_at is not null;
create index outbox_id on outbox (id);
