-- Which sweep an entry belongs to; null for those that belong to none.
ALTER TABLE journal ADD COLUMN sweep INTEGER;
UPDATE journal SET sweep = COALESCE(
    json_extract(body, '$.sweep_submitted.id'),
    json_extract(body, '$.lease_granted.tasks[0][0].sweep'),
    json_extract(body, '$.task_finished.task.sweep'),
    json_extract(body, '$.attempt_failed.task.sweep'),
    json_extract(body, '$.sweep_cancelled.sweep')
);
-- These name a token alone.
CREATE TEMP TABLE granted (token INTEGER PRIMARY KEY, sweep INTEGER NOT NULL);
INSERT INTO granted SELECT json_extract(body, '$.lease_granted.token'), sweep
    FROM journal WHERE kind = 'lease_granted';
UPDATE journal SET sweep = (
    SELECT granted.sweep FROM granted
    WHERE token = COALESCE(json_extract(body, '$.lease_expired.token'), json_extract(body, '$.lease_released.token'))
) WHERE kind IN ('lease_expired', 'lease_released');
CREATE INDEX journal_of_sweeps ON journal (sweep);

-- The entry it was submitted with, and its outcome as JSON once it is settled: then its entries are not replayed.
ALTER TABLE sweeps ADD COLUMN first INTEGER NOT NULL DEFAULT 0;
ALTER TABLE sweeps ADD COLUMN settled TEXT;
UPDATE sweeps SET first = (SELECT MIN(sequence) FROM journal WHERE journal.sweep = sweeps.id);

-- Numbers that never come again, though the entries that gave them may be gone.
CREATE TABLE marks (
    name  TEXT    PRIMARY KEY,
    value INTEGER NOT NULL
) STRICT;
INSERT INTO marks SELECT 'last_sweep', COALESCE(MAX(id), 0) FROM sweeps;
INSERT INTO marks SELECT 'last_token', COALESCE(MAX(token), 0) FROM granted;
DROP TABLE granted;

-- The place of the configuration times 2^32, and that of the seed: it stays when a sweep grows.
UPDATE results SET position = (position / n) * 4294967296 + position % n FROM (
    SELECT sweep AS of_sweep, json_array_length(body, '$.sweep_submitted.sweep.seeds') AS n
    FROM journal WHERE kind = 'sweep_submitted' GROUP BY sweep
) WHERE sweep = of_sweep;
