-- Events that somebody is to be told of and has not been told yet. Written with the entries that they follow from.
CREATE TABLE notifications (
    number  INTEGER PRIMARY KEY AUTOINCREMENT,
    id      TEXT    NOT NULL UNIQUE,
    at      INTEGER NOT NULL,
    body    TEXT    NOT NULL, -- JSON, as it is sent
    webhook INTEGER NOT NULL, -- 1 while the webhook has not answered that it has it
    command INTEGER NOT NULL  -- 1 while the command has not ended well with it
) STRICT;
