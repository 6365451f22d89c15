-- From this version on the journal may say that a sweep was stopped because its tasks fail, which earlier versions cannot
-- read. The tables are the same.
SELECT 1;
