-- Place of a question in the line of those that are answered in the background: the lowest comes first, so that tenants
-- take turns. Null until the relay hands it over.
alter table solutions add column turn integer;
