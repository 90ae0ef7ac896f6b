-- Priorities, owners, limits and pauses of sweeps; early stopping; gangs of attempts; GPUs of workers, and why they are drained.

DROP VIEW v_sweeps;
DROP VIEW v_workers;
DROP VIEW v_attempts;

ALTER TABLE sweeps ADD COLUMN priority INTEGER NOT NULL DEFAULT 0;
ALTER TABLE sweeps ADD COLUMN owner TEXT NOT NULL DEFAULT '';
ALTER TABLE sweeps ADD COLUMN run_order TEXT NOT NULL DEFAULT 'longest-first'
  CHECK (run_order IN ('longest-first', 'cheapest-first'));
ALTER TABLE sweeps ADD COLUMN limit_flops REAL NOT NULL DEFAULT 0;         -- 0: no limit
ALTER TABLE sweeps ADD COLUMN limit_slot_ms INTEGER NOT NULL DEFAULT 0;
ALTER TABLE sweeps ADD COLUMN paused TEXT;                                 -- why; NULL: not paused

ALTER TABLE runs ADD COLUMN workers INTEGER NOT NULL DEFAULT 1 CHECK (workers > 0);  -- more than 1: a gang
ALTER TABLE runs ADD COLUMN gpu_model TEXT NOT NULL DEFAULT '';
ALTER TABLE runs ADD COLUMN gpu_memory_bytes INTEGER NOT NULL DEFAULT 0;
ALTER TABLE runs ADD COLUMN stopped_early INTEGER NOT NULL DEFAULT 0;      -- cancelled as hopeless

-- Early stopping; an empty metric: none.
ALTER TABLE stages ADD COLUMN watched_metric TEXT NOT NULL DEFAULT '';
ALTER TABLE stages ADD COLUMN stop_above REAL;
ALTER TABLE stages ADD COLUMN stop_worse_than_median_after REAL;

ALTER TABLE workers ADD COLUMN gpu_model TEXT NOT NULL DEFAULT '';
ALTER TABLE workers ADD COLUMN gpu_memory_bytes INTEGER NOT NULL DEFAULT 0;
ALTER TABLE workers ADD COLUMN places_gangs INTEGER NOT NULL DEFAULT 0;
ALTER TABLE workers ADD COLUMN drain_reason TEXT NOT NULL DEFAULT '';      -- empty: not drained

-- One row per member of a gang.
CREATE TABLE new_attempts (
  id            INTEGER PRIMARY KEY,
  run_id        INTEGER NOT NULL REFERENCES runs,
  number        INTEGER NOT NULL,           -- 1, 2, … within the run
  rank          INTEGER NOT NULL,           -- 0, 1, … within the gang
  worker_id     INTEGER NOT NULL REFERENCES workers,
  sweep_id      INTEGER NOT NULL REFERENCES sweeps,   -- on whose account it goes
  slots         INTEGER NOT NULL,
  state         TEXT NOT NULL
    CHECK (state IN ('assigned', 'running', 'succeeded', 'failed', 'interrupted', 'cancelled', 'lost')),
  stop          TEXT,                       -- why it was asked to stop
  exit_code     INTEGER,
  reason        TEXT NOT NULL DEFAULT '',
  events_offset INTEGER NOT NULL DEFAULT 0, -- bytes of its event file and of its output that are stored
  output_offset INTEGER NOT NULL DEFAULT 0,
  log_bytes     INTEGER NOT NULL DEFAULT 0,
  assigned_ms   INTEGER NOT NULL,
  started_ms    INTEGER,
  finished_ms   INTEGER,
  UNIQUE (run_id, number, rank)
) STRICT;
INSERT INTO new_attempts
SELECT a.id, a.run_id, a.number, 0, a.worker_id, r.sweep_id, r.slots, a.state, NULL, a.exit_code, a.reason,
       a.events_offset, a.output_offset, a.log_bytes, a.assigned_ms, a.started_ms, a.finished_ms
FROM attempts a JOIN runs r ON r.id = a.run_id;
DROP TABLE attempts;
ALTER TABLE new_attempts RENAME TO attempts;
CREATE INDEX attempts_live ON attempts (worker_id) WHERE state IN ('assigned', 'running');
CREATE INDEX attempts_by_sweep ON attempts (sweep_id);

CREATE VIEW v_sweeps AS
SELECT w.id AS sweep_id, w.name AS sweep, s.name AS study,
       CASE WHEN w.paused IS NULL THEN w.state ELSE 'paused' END AS state,
       count(sr.run_id) AS runs,
       coalesce(sum(r.state = 'succeeded'), 0) AS succeeded,
       total(r.flops) AS flops,
       strftime('%Y-%m-%dT%H:%M:%fZ', w.submitted_ms / 1000.0, 'unixepoch') AS submitted,
       strftime('%Y-%m-%dT%H:%M:%fZ', w.finished_ms / 1000.0, 'unixepoch') AS finished,
       w.priority, w.owner, coalesce(w.paused, '') AS reason
FROM sweeps w
JOIN studies s ON s.id = w.study_id
LEFT JOIN sweep_runs sr ON sr.sweep_id = w.id
LEFT JOIN runs r ON r.id = sr.run_id
GROUP BY w.id;

CREATE VIEW v_workers AS
SELECT k.id AS worker_id, k.name AS worker, k.host, k.version, k.state, k.slots,
       (SELECT coalesce(sum(a.slots), 0) FROM attempts a
        WHERE a.worker_id = k.id AND a.state IN ('assigned', 'running')) AS slots_used,
       k.labels, strftime('%Y-%m-%dT%H:%M:%fZ', k.last_seen_ms / 1000.0, 'unixepoch') AS last_seen,
       k.gpu_model, k.gpu_memory_bytes, k.drain_reason AS reason
FROM workers k;

CREATE VIEW v_attempts AS
SELECT a.id AS attempt_id, a.run_id, a.number AS attempt, k.name AS worker, a.state, a.exit_code, a.reason,
       strftime('%Y-%m-%dT%H:%M:%fZ', a.assigned_ms / 1000.0, 'unixepoch') AS assigned,
       strftime('%Y-%m-%dT%H:%M:%fZ', a.started_ms / 1000.0, 'unixepoch') AS started,
       strftime('%Y-%m-%dT%H:%M:%fZ', a.finished_ms / 1000.0, 'unixepoch') AS finished,
       a.rank, a.slots
FROM attempts a
JOIN workers k ON k.id = a.worker_id;
