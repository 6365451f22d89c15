-- The configurations of a large sweep are written before its entry, in parts, so that no commit takes long. The entry
-- has the rest of the sweep, with an empty list.
CREATE TABLE definitions (
    id             INTEGER PRIMARY KEY,
    parts          INTEGER NOT NULL,
    configurations INTEGER NOT NULL,
    entry          INTEGER UNIQUE    -- the journal entry that it belongs to; null until that is committed
) STRICT;

CREATE TABLE definition_parts (
    definition INTEGER NOT NULL REFERENCES definitions (id),
    part       INTEGER NOT NULL, -- counting from 0
    body       TEXT    NOT NULL, -- JSON of a list of configurations
    PRIMARY KEY (definition, part)
) STRICT;
