-- Retrieval by a projection of the embedding. Until now each scan read embeddings of the model's width: 3.6 KB an
-- episode for 896 values, and out of line from about 2,000 values on.

-- Record of each model with stored episodes: the seed of the projection of its embeddings to 256 values
-- (src/episodes/embedding-projections.ts), so that all processes and later releases compute the same one.
create table models (
  fingerprint text primary key,
  projection_seed bigint not null
);

-- null: stored by an earlier release. Retrieval compares such rows by their embedding, and a worker fills the
-- column in bites (src/episodes/sql/project-bite.ts).
alter table episodes add column projection halfvec(256);

-- Projections stay in the row, where a scan reads them. Embeddings leave it, because only the nearest candidates and
-- consolidations read them. A row that exists already moves its embedding when its projection is filled in.
alter table episodes alter column projection set storage main, alter column embedding set storage external;

create index episodes_unprojected on episodes (tenant_id, fingerprint) where projection is null;

-- Otherwise the planner believes that few rows have no projection, and each bite sorts all that have none.
analyze episodes;
