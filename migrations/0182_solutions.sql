-- Questions that are answered in the background (Prefer: respond-async), with their answers, kept for a day.
create table solutions (
  tenant_id text not null,
  -- Id of the solution and of its episode.
  id uuid not null,
  status text not null default 'queued'
    check (status in ('queued', 'running', 'succeeded', 'failed', 'cancelled')),
  -- JSON: the question with its settings, and its caller. As text, because JSON of Postgres cannot hold every text.
  request text not null,
  -- Number of times that a process has begun to work on it.
  attempts integer not null default 0,
  -- JSON of the solution, or of the problem; null before.
  result text,
  created_at timestamptz not null default now(),
  started_at timestamptz,
  finished_at timestamptz,
  -- Last sign of life of the process that works on it.
  seen_at timestamptz not null default now(),
  primary key (tenant_id, id),
  check ((finished_at is null) = (status in ('queued', 'running')))
);

create index solutions_age on solutions (created_at);
create index solutions_unfinished on solutions (seen_at) where finished_at is null;

-- Whoever deletes an episode deletes the answer that is kept for its caller, too.
create or replace function forget_answers() returns trigger language plpgsql as $$
begin
  delete from idempotency_keys using gone
  where idempotency_keys.tenant_id = gone.tenant_id and idempotency_keys.answer_id = gone.id
    and idempotency_keys.result is not null;
  delete from solutions using gone
  where solutions.tenant_id = gone.tenant_id and solutions.id = gone.id and solutions.finished_at is not null;
  return null;
end $$;
