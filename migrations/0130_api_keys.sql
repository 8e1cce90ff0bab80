-- API keys: only the hash of a key is stored. Rows are never deleted, so that the service stays closed to callers
-- without a key once there was one, and a revoked key can be told from an unknown one in the list.
create table api_keys (
  id uuid primary key default gen_random_uuid(),
  -- SHA-256 of a random key of 256 bits: too many values to guess, so no salt and no slow hash.
  hash bytea not null unique check (octet_length(hash) = 32),
  name text not null,
  tenant_id text not null,
  scopes text[] not null,
  -- From the file of API_KEYS_FILE; revoked when the file no longer holds it.
  from_file boolean not null,
  created_at timestamptz not null default now(),
  revoked_at timestamptz
);
