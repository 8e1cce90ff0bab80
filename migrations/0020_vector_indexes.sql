-- Retrieval of large tenants. Workers build an HNSW index for each tenant and model with many retrievable
-- episodes (src/episodes/index-large-tenants.ts): a partial index of that tenant alone, so that it loses no
-- neighbours of small tenants, and no tenant's rows affect the results of another. The indexes depend on the
-- data and on the version of pgvector, so no migration creates them; smaller tenants keep the exact scan
-- behind episodes_steering.

-- Keeps embeddings in the row, up to about 2,000 dimensions. Out of line, as by default from 500 dimensions
-- on, an exact scan of 20,000 embeddings of width 896 takes 50 ms rather than 17 ms. Rows that exist already
-- keep their place.
alter table episodes alter column embedding set storage main;
