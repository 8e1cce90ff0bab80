-- Health of the active versions: which versions served a request, and how each version became active.

alter table episodes
  -- Version that could influence the answer, e.g. `weaver-3`; `none` when no version was active. Null when the
  -- request uses no such model (strategy, options), when the model failed, and for older episodes.
  add column weaver_version text,
  add column reward_model_version text;

-- The episodes with a caller's word on their answer, by version. Night episodes say nothing about requests.
create index episodes_of_weaver on episodes (fingerprint, weaver_version, created_at desc)
  include (tenant_id, strategy, verdict)
  where verdict is not null and origin = 'request' and weaver_version is not null;
create index episodes_of_reward_model on episodes (fingerprint, reward_model_version, created_at desc)
  include (tenant_id, strategy, verdict)
  where verdict is not null and origin = 'request' and reward_model_version is not null;

alter table artifacts
  -- The last activation: its time, its cause, and the version that was active before it (null: none).
  add column active_since timestamptz(3),
  add column activated_by text check (activated_by in ('promotion', 'operator', 'rollback')),
  add column active_before uuid references artifacts,
  -- The anchor that this version took the place of.
  add column anchor_before uuid references artifacts,
  -- Looks at the live outcomes of the version since its promotion, and their number at the last look.
  add column health_looks integer not null default 0,
  add column health_outcomes integer not null default 0,
  -- Time at which the version was rolled back because its live outcomes had fallen.
  add column rolled_back_at timestamptz;
