-- Who asked: a request, or a consolidation, which samples answers to questions of requests to learn which are
-- right. Episodes of a consolidation do not count as new episodes.
alter table episodes
  add column origin text not null default 'request' check (origin in ('request', 'night'));
