-- What attempts made of their GPUs, where NVML could tell.
CREATE TABLE gpu_usage (
  attempt_id        INTEGER PRIMARY KEY REFERENCES attempts,
  gpus              INTEGER NOT NULL,
  seconds           REAL NOT NULL,
  utilisation       REAL NOT NULL,
  peak_memory_bytes INTEGER NOT NULL,
  energy_joules     REAL NOT NULL
) STRICT;

CREATE VIEW v_gpu_usage AS
SELECT a.run_id, a.id AS attempt_id, g.gpus, g.seconds, g.utilisation, g.peak_memory_bytes, g.energy_joules,
       g.energy_joules / nullif(g.seconds, 0) AS mean_power_watts
FROM gpu_usage g
JOIN attempts a ON a.id = g.attempt_id;
