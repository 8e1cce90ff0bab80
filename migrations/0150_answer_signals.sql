-- What the model's own distribution says of an answer: means over its decoded tokens, in nats. Null when they are not
-- known, and for answers of earlier releases.
alter table candidates
  add column log_probability double precision,
  add column self_certainty double precision;
