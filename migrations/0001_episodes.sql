-- Episodes, and the outbox of work for the worker. tenant_id is first in every primary key, so partitioning
-- by tenant or moving tenants to other machines needs no new keys.

create extension if not exists vector;

create table episodes (
  tenant_id text not null,
  id uuid not null,
  -- In milliseconds, the resolution of JavaScript dates, so that pages continue exactly after (created_at,
  -- id).
  created_at timestamptz(3) not null,
  status text not null default 'pending' check (status in ('pending', 'indexed')),
  fingerprint text not null,
  model_id text not null,
  strategy text not null,
  question text not null,
  reference text,
  -- No fixed width: models of different hidden width share this table.
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
  -- Retrievable: admitted and with latents, until a better near-duplicate exists. May influence other
  -- requests.
  steers boolean not null,
  -- The caller's feedback; labels are derived again whenever it changes. At most one of the two columns is
  -- set.
  feedback_correct boolean,
  feedback_answer text,
  primary key (tenant_id, id),
  check (feedback_correct is null or feedback_answer is null)
);

create index episodes_newest on episodes (tenant_id, created_at desc, id desc);

-- Retrieval compares the query with every retrievable episode of one tenant and model. HNSW is avoided on
-- purpose. Up to about 50,000 such rows, the exact scan behind this index is fast and has perfect recall
-- (`npm run bench:retrieval`). An HNSW index filters by tenant after its scan: it loses neighbours of small
-- tenants, and one tenant's rows affect the results of another.
create index episodes_steering on episodes (tenant_id, fingerprint) where steers;

-- Across tenants, for the worker: episodes still to index, and episodes to prune.
create index episodes_pending on episodes (created_at) where status = 'pending';
create index episodes_age on episodes (created_at);

-- Every judged answer of an episode.
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
  -- Meets the profile's bar for admission: the label by self-reward, when no better source exists.
  admissible boolean not null,
  label boolean,
  label_source text check (label_source in ('feedback', 'reference', 'majority', 'self')),
  primary key (tenant_id, episode_id, position),
  foreign key (tenant_id, episode_id) references episodes on delete cascade,
  check ((label is null) = (label_source is null))
);

create unique index candidates_chosen on candidates (tenant_id, episode_id) where chosen;

-- Latents of the draft and of the returned answer, fp16, row-major [length, width], little-endian. They have
-- a table of their own because they are a hundred times larger than the rest, and are read for retrieved
-- neighbours only.
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

-- fp16 does not compress; EXTERNAL storage avoids the attempt.
alter table episode_latents alter column z_base set storage external, alter column z_star set storage external;

-- Work for the queue, committed together with its cause. A row's id is its job's id.
create table outbox (
  tenant_id text not null,
  id uuid not null default gen_random_uuid(),
  sequence bigint generated always as identity,
  kind text not null,
  payload jsonb not null,
  created_at timestamptz not null default now(),
  -- End of a relay's lease on the row; the lease of a relay that has died ends by itself.
  claimed_until timestamptz,
  relayed_at timestamptz,
  primary key (tenant_id, id)
);

create index outbox_waiting on outbox (sequence) where relayed_at is null;
create index outbox_relayed on outbox (relayed_at) where relayed_at is not null;
create index outbox_id on outbox (id);
