-- The holder of the credential with which the sweep was submitted; null if none was needed.
ALTER TABLE sweeps ADD COLUMN submitted_by TEXT;
