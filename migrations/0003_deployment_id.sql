-- The id of this deployment, and the order in which consolidations were requested.

-- One row. Separates the jobs of deployments that share a Redis.
create table deployment (
  id uuid primary key default gen_random_uuid(),
  only_row boolean not null unique default true check (only_row)
);

insert into deployment default values;

-- The last consolidation is the one requested last, whatever the clock showed: created_at may be in the future.
alter table consolidations add column sequence bigint;

update consolidations set sequence = numbered.sequence
from (select id, row_number() over (order by created_at, id) as sequence from consolidations) as numbered
where numbered.id = consolidations.id;

alter table consolidations
  alter column sequence set not null,
  alter column sequence add generated always as identity;

select setval(pg_get_serial_sequence('consolidations', 'sequence'), (select count(*) + 1 from consolidations), false);

drop index consolidations_newest;
create unique index consolidations_newest on consolidations (sequence);
