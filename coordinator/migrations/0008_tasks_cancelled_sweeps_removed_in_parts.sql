-- A large sweep that was removed is deleted in parts, so that no commit takes long. Until its last row is gone it is
-- known by a name that no sweep can have, and nobody is told of it. From this version on the journal may have entries of
-- cancelled tasks, which earlier versions cannot read.
ALTER TABLE sweeps ADD COLUMN removed INTEGER NOT NULL DEFAULT 0;
