-- Fingerprint of the judge that gave the rewards of an episode: judge prompts, format rules and weights. Rewards
-- of different judges are not compared. Empty for episodes of before this column, whose judge is not known.

alter table episodes add column judge_fingerprint text not null default '';
