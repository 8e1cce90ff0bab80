-- Second wall between tenants, beside the tenant in every statement: a transaction that has set circadian.tenant sees
-- and writes rows of that tenant only. Owners of tables and superusers pass it, so requests of callers also take the
-- role circadian_tenant (src/database/tenant-wall.ts). Without the setting everything is seen: worker, operators.
-- Not on api_keys and audit_log: a key is looked up before its tenant is known, and operators read all calls.
do $$
declare
  name text;
begin
  foreach name in array array[
    'episodes', 'candidates', 'episode_latents', 'candidate_thoughts', 'artifact_episodes', 'outbox', 'tenant_cutoffs',
    'deletions', 'idempotency_keys', 'solutions'
  ] loop
    execute format('alter table %I enable row level security', name);
    execute format(
      'create policy one_tenant on %I using (coalesce(current_setting(''circadian.tenant'', true), '''') in ('''', tenant_id))',
      name
    );
  end loop;
end $$;
