-- A position says which task it is, so that one index keeps results unique and in order. The primary key before it was
-- by a hash: each result dirtied a page of its own, and a task of a large sweep cost more than one of a small sweep.
ALTER TABLE results RENAME TO results_by_configuration;
DROP INDEX results_in_order;
CREATE TABLE results (
    sweep         INTEGER NOT NULL REFERENCES sweeps (id),
    position      INTEGER NOT NULL, -- the place of the configuration times 2^32, and that of the seed
    configuration TEXT    NOT NULL, -- 16 hexadecimal digits
    seed          INTEGER NOT NULL, -- the 64 bits of an unsigned number
    attempt       INTEGER NOT NULL,
    worker        TEXT    NOT NULL,
    token         INTEGER NOT NULL,
    recorded_at   INTEGER NOT NULL,
    result        TEXT    NOT NULL, -- JSON of the result
    UNIQUE (sweep, position)
) STRICT;
INSERT INTO results (sweep, position, configuration, seed, attempt, worker, token, recorded_at, result)
    SELECT sweep, position, configuration, seed, attempt, worker, token, recorded_at, result
    FROM results_by_configuration ORDER BY sweep, position;
DROP TABLE results_by_configuration;
