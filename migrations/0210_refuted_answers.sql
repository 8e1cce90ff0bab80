-- Refuted episodes, newest first: a request looks among them for answers that callers called wrong when its question came
-- before (src/episodes/sql/recollect.ts). They do not steer, so no index of retrieval has them.
create index episodes_refuted on episodes (tenant_id, fingerprint, created_at desc) where verdict is false;
