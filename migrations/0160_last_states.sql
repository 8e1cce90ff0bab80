-- States of a few layers at the last token of an answer, fp16, row-major [K, width], little-endian, beside its latent
-- thought. Null in rows of earlier releases, and where half precision cannot hold them.
alter table candidate_thoughts add column last_states bytea
  check (octet_length(last_states) > 0 and octet_length(last_states) % (2 * width) = 0);

alter table candidate_thoughts alter column last_states set storage external;
