-- The anchor of a model and kind: the last promoted version whose quality was measurably above that of the
-- anchor before it. Gates compare every candidate with it too, so that a series of small losses, each within
-- the noise of one night, cannot add up.
alter table artifacts add column anchor boolean not null default false;

create unique index artifacts_anchor on artifacts (fingerprint, kind) where anchor;

-- The versions that are active now have no anchor before them.
update artifacts set anchor = true where active;
