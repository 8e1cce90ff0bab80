-- The fused judge: a third kind of artifact, and the version of it that served a request.

alter table artifacts drop constraint artifacts_kind_check;
alter table artifacts add constraint artifacts_kind_check check (kind in ('weaver', 'lrm', 'judge'));

alter table episodes
  -- Version that could influence the answer, as `reward_model_version`.
  add column judge_version text;

create index episodes_of_judge on episodes (fingerprint, judge_version, created_at desc)
  include (tenant_id, strategy, verdict)
  where verdict is not null and origin = 'request' and judge_version is not null;
