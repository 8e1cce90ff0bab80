-- Address that gets the outcome of a question that is answered in the background.
alter table solutions add column webhook text;
