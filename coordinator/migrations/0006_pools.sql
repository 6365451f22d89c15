-- Pools of worker jobs, which a batch system starts. Not in the journal: what happened to jobs earlier matters to nobody.
CREATE TABLE pools (
    name TEXT PRIMARY KEY,
    body TEXT NOT NULL -- JSON of the pool with its jobs
) STRICT;
