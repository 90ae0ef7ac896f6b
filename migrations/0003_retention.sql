-- What outlives a restore, and how much is kept of old curves.

-- `attempts`: no attempt gets an id up to this one. A copy that is put back does not know which ids were given out after
-- it was made, and workers may still hold such attempts.
CREATE TABLE counters (
  name  TEXT PRIMARY KEY,
  value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- How many points are kept of each curve of a run that ended long ago; NULL: all.
ALTER TABLE runs ADD COLUMN curve_points INTEGER;
CREATE INDEX runs_with_whole_curves ON runs (finished_ms) WHERE curve_points IS NULL AND finished_ms IS NOT NULL;
