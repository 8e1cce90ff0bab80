-- Requests with an Idempotency-Key: one row for each key of a tenant, kept for a day.
create table idempotency_keys (
  tenant_id text not null,
  key text not null,
  -- SHA-256 of method, route and body: another request under the same key is refused.
  request_hash bytea not null check (octet_length(request_hash) = 32),
  -- Id of the solution and of its episode, the same for a process that takes over from one that died.
  answer_id uuid not null,
  -- Process that answers the request, and the end of its lease unless it renews it.
  owner uuid not null,
  leased_until timestamptz not null,
  -- JSON of the answer; null while a process works on it.
  result text,
  created_at timestamptz not null default now(),
  primary key (tenant_id, key)
);

create index idempotency_keys_age on idempotency_keys (created_at);
create index idempotency_keys_answer on idempotency_keys (tenant_id, answer_id);

-- Whoever deletes an episode deletes its answer here, too. A row without a result is kept: its process deletes the
-- episode of a process that died before it answers itself.
create function forget_answers() returns trigger language plpgsql as $$
begin
  delete from idempotency_keys using gone
  where idempotency_keys.tenant_id = gone.tenant_id and idempotency_keys.answer_id = gone.id
    and idempotency_keys.result is not null;
  return null;
end $$;

create trigger episodes_forget_answers after delete on episodes
  referencing old table as gone for each statement execute function forget_answers();
