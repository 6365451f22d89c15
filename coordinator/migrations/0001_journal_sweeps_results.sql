-- What happened, in order. Recovery replays it; nothing in it is ever changed.
CREATE TABLE journal (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    at       INTEGER NOT NULL, -- milliseconds since the Unix epoch
    kind     TEXT    NOT NULL, -- for people: body says it too
    body     TEXT    NOT NULL  -- JSON of the event
) STRICT;

CREATE TABLE sweeps (
    id           INTEGER PRIMARY KEY,
    name         TEXT    NOT NULL UNIQUE,
    submitted_at INTEGER NOT NULL
) STRICT;

-- One row a task that is done.
CREATE TABLE results (
    sweep         INTEGER NOT NULL REFERENCES sweeps (id),
    configuration TEXT    NOT NULL, -- 16 hexadecimal digits
    seed          INTEGER NOT NULL, -- the 64 bits of an unsigned number
    position      INTEGER NOT NULL, -- in the order of the grid
    attempt       INTEGER NOT NULL,
    worker        TEXT    NOT NULL,
    token         INTEGER NOT NULL,
    recorded_at   INTEGER NOT NULL,
    result        TEXT    NOT NULL, -- JSON of the result
    PRIMARY KEY (sweep, configuration, seed)
) STRICT;

CREATE UNIQUE INDEX results_in_order ON results (sweep, position);
