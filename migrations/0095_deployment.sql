-- The place of the deployment, and an index for the newest confirmed episode of a question.

-- The database and the server that this deployment is in, as far as its first role could read them. Stored, because
-- not every role may ask for the identifier of a server, and all processes must derive the same id from this row.

alter table deployment
  add column database_oid oid,
  -- pg_control_system().system_identifier; empty when the role could not read it.
  add column server text;

update deployment set database_oid = pg_database.oid, server = ''
from pg_database where pg_database.datname = current_database();

do $$
begin
  update deployment set server = (select system_identifier::text from pg_control_system());
exception
  when insufficient_privilege or undefined_function or feature_not_supported then null;
end $$;

alter table deployment
  alter column database_oid set not null,
  alter column server set not null;

-- Read for every episode of a question whenever one of them is labelled: without it, the time is quadratic in the
-- number of times that a question was asked.
create index episodes_confirmed
  on episodes (tenant_id, fingerprint, hashtextextended(question, 0), created_at desc, id desc) where verdict;
