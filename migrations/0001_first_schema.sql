-- The first schema. Tables are private; the views are the contract with dashboards and notebooks (docs/metrics-db.md).
-- Times are milliseconds since 1970 (UTC) in tables and ISO 8601 text in views.

CREATE TABLE studies (
  id   INTEGER PRIMARY KEY,
  name TEXT NOT NULL UNIQUE
) STRICT;

CREATE TABLE sweeps (
  id              INTEGER PRIMARY KEY,
  name            TEXT NOT NULL,
  study_id        INTEGER NOT NULL REFERENCES studies,
  state           TEXT NOT NULL CHECK (state IN ('running', 'succeeded', 'failed', 'cancelled')),
  spec            BLOB NOT NULL,            -- SweepSpec as submitted
  idempotency_key TEXT UNIQUE,
  max_parallel    INTEGER NOT NULL,         -- 0: no limit
  cancelled       INTEGER NOT NULL DEFAULT 0,
  submitted_ms    INTEGER NOT NULL,
  finished_ms     INTEGER
) STRICT;
CREATE INDEX sweeps_by_name ON sweeps (name);
CREATE INDEX sweeps_by_study ON sweeps (study_id);

CREATE TABLE stages (
  sweep_id INTEGER NOT NULL REFERENCES sweeps,
  position INTEGER NOT NULL,
  name     TEXT NOT NULL,
  PRIMARY KEY (sweep_id, position)
) STRICT, WITHOUT ROWID;

-- Stage `position` passes the artifact made by stage `needed` to its runs.
CREATE TABLE stage_needs (
  sweep_id INTEGER NOT NULL,
  position INTEGER NOT NULL,
  artifact TEXT NOT NULL,
  needed   INTEGER NOT NULL,
  PRIMARY KEY (sweep_id, position, artifact),
  FOREIGN KEY (sweep_id, position) REFERENCES stages,
  FOREIGN KEY (sweep_id, needed) REFERENCES stages
) STRICT, WITHOUT ROWID;

CREATE TABLE runs (
  id                 INTEGER PRIMARY KEY,
  study_id           INTEGER NOT NULL REFERENCES studies,
  content_key        TEXT NOT NULL,         -- the same training, whatever its sweep
  sweep_id           INTEGER NOT NULL,      -- the sweep on whose behalf it is trained, and the stage there
  stage_position     INTEGER NOT NULL,
  name               TEXT NOT NULL,
  command            TEXT NOT NULL CHECK (json_valid(command)),
  params             TEXT NOT NULL CHECK (json_valid(params)),
  budget_kind        TEXT CHECK (budget_kind IN ('flops', 'samples', 'steps')),
  budget             REAL,
  seed               INTEGER NOT NULL,
  holdout            INTEGER NOT NULL,
  slots              INTEGER NOT NULL CHECK (slots > 0),
  labels             TEXT NOT NULL CHECK (json_valid(labels)),
  max_retries        INTEGER NOT NULL,
  backoff_ms         INTEGER NOT NULL,
  state              TEXT NOT NULL
    CHECK (state IN ('waiting', 'queued', 'running', 'succeeded', 'failed', 'cancelled', 'skipped')),
  reason             TEXT NOT NULL DEFAULT '',
  failures           INTEGER NOT NULL DEFAULT 0,   -- of the trainer, since it was last queued by a person
  attempts           INTEGER NOT NULL DEFAULT 0,
  model_params       INTEGER,
  model_params_total INTEGER,
  flops_per_sample   REAL,
  progress           REAL NOT NULL DEFAULT 0,
  seconds_left       REAL,
  step               INTEGER NOT NULL DEFAULT 0,
  samples            INTEGER NOT NULL DEFAULT 0,
  flops              REAL NOT NULL DEFAULT 0,
  started_ms         INTEGER,               -- of the newest attempt
  finished_ms        INTEGER,
  UNIQUE (study_id, content_key),
  FOREIGN KEY (sweep_id, stage_position) REFERENCES stages (sweep_id, position)
) STRICT;

-- Which runs a sweep asked for; a run that its study already held is linked, not trained again.
CREATE TABLE sweep_runs (
  sweep_id       INTEGER NOT NULL REFERENCES sweeps,
  number         INTEGER NOT NULL,          -- 1, 2, … in the order of the sweep
  stage_position INTEGER NOT NULL,
  run_id         INTEGER NOT NULL REFERENCES runs,
  PRIMARY KEY (sweep_id, number),
  FOREIGN KEY (sweep_id, stage_position) REFERENCES stages (sweep_id, position)
) STRICT, WITHOUT ROWID;
CREATE INDEX sweep_runs_by_run ON sweep_runs (run_id);

CREATE TABLE workers (
  id           INTEGER PRIMARY KEY,
  uid          TEXT NOT NULL UNIQUE,        -- the worker's own, stable over its restarts
  name         TEXT NOT NULL,
  host         TEXT NOT NULL,
  version      TEXT NOT NULL,
  state        TEXT NOT NULL CHECK (state IN ('ready', 'draining', 'away', 'lost', 'gone')),
  slots        INTEGER NOT NULL,
  labels       TEXT NOT NULL CHECK (json_valid(labels)),
  last_seen_ms INTEGER NOT NULL
) STRICT;

CREATE TABLE attempts (
  id            INTEGER PRIMARY KEY,
  run_id        INTEGER NOT NULL REFERENCES runs,
  number        INTEGER NOT NULL,           -- 1, 2, … within the run
  worker_id     INTEGER NOT NULL REFERENCES workers,
  state         TEXT NOT NULL
    CHECK (state IN ('assigned', 'running', 'succeeded', 'failed', 'interrupted', 'cancelled', 'lost')),
  exit_code     INTEGER,
  reason        TEXT NOT NULL DEFAULT '',
  events_offset INTEGER NOT NULL DEFAULT 0, -- bytes of its event file and of its output that are stored
  output_offset INTEGER NOT NULL DEFAULT 0,
  log_bytes     INTEGER NOT NULL DEFAULT 0,
  assigned_ms   INTEGER NOT NULL,
  started_ms    INTEGER,
  finished_ms   INTEGER,
  UNIQUE (run_id, number)
) STRICT;
CREATE INDEX attempts_live ON attempts (worker_id) WHERE state IN ('assigned', 'running');

CREATE TABLE metrics (
  id   INTEGER PRIMARY KEY,
  name TEXT NOT NULL UNIQUE
) STRICT;

CREATE TABLE points (
  run_id    INTEGER NOT NULL REFERENCES runs,
  metric_id INTEGER NOT NULL REFERENCES metrics,
  step      INTEGER NOT NULL,
  samples   INTEGER NOT NULL,
  flops     REAL NOT NULL,
  value     REAL NOT NULL,
  PRIMARY KEY (run_id, metric_id, step)
) STRICT, WITHOUT ROWID;

-- The point with the largest step of each run and metric.
CREATE TABLE latest_points (
  run_id    INTEGER NOT NULL REFERENCES runs,
  metric_id INTEGER NOT NULL REFERENCES metrics,
  step      INTEGER NOT NULL,
  samples   INTEGER NOT NULL,
  flops     REAL NOT NULL,
  value     REAL NOT NULL,
  PRIMARY KEY (run_id, metric_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE checkpoints (
  run_id     INTEGER NOT NULL REFERENCES runs,
  step       INTEGER NOT NULL,
  path       TEXT NOT NULL,
  attempt_id INTEGER NOT NULL REFERENCES attempts,
  PRIMARY KEY (run_id, step)
) STRICT, WITHOUT ROWID;

CREATE TABLE artifacts (
  run_id     INTEGER NOT NULL REFERENCES runs,
  name       TEXT NOT NULL,
  path       TEXT NOT NULL,
  kind       TEXT NOT NULL,
  attempt_id INTEGER NOT NULL REFERENCES attempts,
  PRIMARY KEY (run_id, name)
) STRICT, WITHOUT ROWID;

-- What trainers print, and the lines of their event files that are no events; per attempt the newest 4 MiB.
CREATE TABLE log_chunks (
  id         INTEGER PRIMARY KEY AUTOINCREMENT,
  attempt_id INTEGER NOT NULL REFERENCES attempts,
  text       TEXT NOT NULL
) STRICT;
CREATE INDEX log_chunks_by_attempt ON log_chunks (attempt_id, id);

-- Immutable once stored.
CREATE TABLE laws (
  id                INTEGER PRIMARY KEY,
  study_id          INTEGER NOT NULL REFERENCES studies,
  metric            TEXT NOT NULL,
  form              TEXT NOT NULL,
  formula           TEXT NOT NULL,
  observations_hash TEXT NOT NULL,
  document          TEXT NOT NULL CHECK (json_valid(document)),
  fitted_ms         INTEGER NOT NULL
) STRICT;
CREATE INDEX laws_by_study ON laws (study_id, metric);
CREATE TRIGGER laws_never_change BEFORE UPDATE ON laws BEGIN SELECT RAISE(ABORT, 'laws are immutable'); END;

CREATE VIEW v_studies AS
SELECT s.name AS study,
       (SELECT count(*) FROM runs r WHERE r.study_id = s.id) AS runs,
       (SELECT count(*) FROM runs r WHERE r.study_id = s.id AND r.state = 'succeeded') AS succeeded,
       (SELECT total(r.flops) FROM runs r WHERE r.study_id = s.id) AS flops
FROM studies s;

CREATE VIEW v_sweeps AS
SELECT w.id AS sweep_id, w.name AS sweep, s.name AS study, w.state,
       count(sr.run_id) AS runs,
       coalesce(sum(r.state = 'succeeded'), 0) AS succeeded,
       total(r.flops) AS flops,
       strftime('%Y-%m-%dT%H:%M:%fZ', w.submitted_ms / 1000.0, 'unixepoch') AS submitted,
       strftime('%Y-%m-%dT%H:%M:%fZ', w.finished_ms / 1000.0, 'unixepoch') AS finished
FROM sweeps w
JOIN studies s ON s.id = w.study_id
LEFT JOIN sweep_runs sr ON sr.sweep_id = w.id
LEFT JOIN runs r ON r.id = sr.run_id
GROUP BY w.id;

CREATE VIEW v_runs AS
SELECT r.id AS run_id, s.name AS study, w.name AS sweep, r.sweep_id, t.name AS stage, r.name AS run, r.state, r.reason,
       r.params AS run_params, r.budget_kind, r.budget, r.seed, r.holdout, r.content_key,
       r.model_params AS params, r.model_params_total AS params_total, r.flops_per_sample,
       CASE r.state WHEN 'succeeded' THEN 1.0 ELSE r.progress END AS progress, r.step, r.samples, r.flops, r.attempts,
       strftime('%Y-%m-%dT%H:%M:%fZ', r.started_ms / 1000.0, 'unixepoch') AS started,
       strftime('%Y-%m-%dT%H:%M:%fZ', r.finished_ms / 1000.0, 'unixepoch') AS finished
FROM runs r
JOIN studies s ON s.id = r.study_id
JOIN sweeps w ON w.id = r.sweep_id
JOIN stages t ON t.sweep_id = r.sweep_id AND t.position = r.stage_position;

CREATE VIEW v_curves AS
SELECT s.name AS study, w.name AS sweep, t.name AS stage, p.run_id, m.name AS metric, p.step, p.samples, p.flops, p.value
FROM points p
JOIN metrics m ON m.id = p.metric_id
JOIN runs r ON r.id = p.run_id
JOIN studies s ON s.id = r.study_id
JOIN sweeps w ON w.id = r.sweep_id
JOIN stages t ON t.sweep_id = r.sweep_id AND t.position = r.stage_position;

-- One row per succeeded run and metric: what a law is fitted to.
CREATE VIEW v_observations AS
SELECT s.name AS study, t.name AS stage, r.id AS run_id, r.name AS run, m.name AS metric,
       r.model_params AS params, l.samples, l.flops,
       CASE r.budget_kind WHEN 'flops' THEN r.budget END AS budget_flops,
       l.value, r.seed, r.holdout
FROM runs r
JOIN latest_points l ON l.run_id = r.id
JOIN metrics m ON m.id = l.metric_id
JOIN studies s ON s.id = r.study_id
JOIN stages t ON t.sweep_id = r.sweep_id AND t.position = r.stage_position
WHERE r.state = 'succeeded';

CREATE VIEW v_laws AS
SELECT l.id AS law_id, s.name AS study, l.metric, l.form, l.formula, l.observations_hash, l.document,
       strftime('%Y-%m-%dT%H:%M:%fZ', l.fitted_ms / 1000.0, 'unixepoch') AS fitted
FROM laws l
JOIN studies s ON s.id = l.study_id;

CREATE VIEW v_workers AS
SELECT k.id AS worker_id, k.name AS worker, k.host, k.version, k.state, k.slots,
       (SELECT coalesce(sum(r.slots), 0) FROM attempts a JOIN runs r ON r.id = a.run_id
        WHERE a.worker_id = k.id AND a.state IN ('assigned', 'running')) AS slots_used,
       k.labels, strftime('%Y-%m-%dT%H:%M:%fZ', k.last_seen_ms / 1000.0, 'unixepoch') AS last_seen
FROM workers k;

CREATE VIEW v_attempts AS
SELECT a.id AS attempt_id, a.run_id, a.number AS attempt, k.name AS worker, a.state, a.exit_code, a.reason,
       strftime('%Y-%m-%dT%H:%M:%fZ', a.assigned_ms / 1000.0, 'unixepoch') AS assigned,
       strftime('%Y-%m-%dT%H:%M:%fZ', a.started_ms / 1000.0, 'unixepoch') AS started,
       strftime('%Y-%m-%dT%H:%M:%fZ', a.finished_ms / 1000.0, 'unixepoch') AS finished
FROM attempts a
JOIN workers k ON k.id = a.worker_id;
