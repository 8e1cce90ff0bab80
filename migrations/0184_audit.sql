-- Calls of operators and deletions: who did what, and how it ended.
create table audit_log (
  id bigint generated always as identity primary key,
  at timestamptz(3) not null default now(),
  tenant_id text not null,
  -- Id of the API key; null: a caller without a key.
  key_id text,
  -- Address of the caller.
  caller text not null,
  -- Id of the operation in the contract.
  action text not null,
  -- Id or path of what the call was about; null: everything of a kind.
  target text,
  -- Whether an activation was forced; null for other calls.
  force boolean,
  -- Status of the response.
  status integer not null,
  request_id text not null
);

create index audit_log_age on audit_log (at);
