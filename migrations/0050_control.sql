-- Control of learning by operators: the freeze of the whole instance, and versions that wait for a review.

-- One row. While `frozen_since` is set, no episode is kept and no version is trained or promoted.
create table learning (
  only_row boolean primary key default true check (only_row),
  frozen_since timestamptz,
  reason text,
  check (reason is null or frozen_since is not null)
);

insert into learning default values;

-- Verdict of the gate; null until the gate has decided. A candidate that passed waits for its activation by
-- an operator; `anchor_on_promotion` is the rest of its verdict: whether it then becomes the anchor.
alter table artifacts
  add column passed boolean,
  add column anchor_on_promotion boolean not null default false;

update artifacts set passed = (status = 'promoted') where status <> 'candidate';

alter table consolidations
  drop constraint consolidations_status_check,
  add constraint consolidations_status_check
    check (status in ('queued', 'running', 'promoted', 'awaiting-review', 'rejected', 'failed'));
