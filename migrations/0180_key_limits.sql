-- Limits of API keys, and what was used of them. A limit is {"amount": 60, "seconds": 60}; null: no limit.
alter table api_keys add column rate jsonb, add column tokens jsonb;

-- Counters of the limits while there is no Redis, in the layout of rate-limiter-flexible: a counter starts again at
-- the first use after `expire`, in milliseconds since the epoch. Maintenance deletes ended ones.
create table limit_counters (
  key varchar(255) primary key,
  points integer not null default 0,
  expire bigint
);
create index limit_counters_expire on limit_counters (expire);
