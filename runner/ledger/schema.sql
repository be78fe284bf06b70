-- The ledger of one imagemill folder. Rows are only ever added. Times are Unix milliseconds, money is USD.

CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;

-- One start of imagemill on this folder; `run_ends` has its end, unless it was killed.
-- `command` (JSON): what was called, and for `retry` what it selected and overrode; NULL before version 3.
CREATE TABLE runs (
  run INTEGER PRIMARY KEY, run_id TEXT NOT NULL, started_ms INTEGER NOT NULL,
  version TEXT NOT NULL, endpoint TEXT NOT NULL, command TEXT
);
CREATE TABLE run_ends (
  run INTEGER PRIMARY KEY, finished_ms INTEGER NOT NULL, exit_code INTEGER NOT NULL, reason TEXT NOT NULL
);

-- One manifest row as first sent. `fingerprint` (16 bytes) hashes its id, prompt and own fields: an edited row is a new item.
CREATE TABLE items (
  item INTEGER PRIMARY KEY, fingerprint BLOB NOT NULL, row_id TEXT NOT NULL, prompt TEXT NOT NULL
);

-- Distinct sets of body fields other than the prompt, as canonical JSON.
CREATE TABLE params (params INTEGER PRIMARY KEY, body TEXT NOT NULL UNIQUE);

-- The intent: durable before the request's first byte leaves. `indexes` (JSON): which of the row's images it asks for; NULL: all.
-- `prompt`: as sent, where `retry` sent another than the item's; NULL: the item's.
CREATE TABLE attempts (
  attempt INTEGER PRIMARY KEY, item INTEGER NOT NULL, run INTEGER NOT NULL, params INTEGER NOT NULL,
  n INTEGER NOT NULL, sent_ms INTEGER NOT NULL, reserved_usd REAL, indexes TEXT, prompt TEXT
);
CREATE INDEX attempts_by_item ON attempts (item);

-- What became of an attempt. An attempt of a dead run without one is ambiguous.
-- status: succeeded | failed | parked | pending, of the row after this attempt. maybe_billed: 1 when it may have been paid for without an image.
CREATE TABLE outcomes (
  attempt INTEGER PRIMARY KEY, finished_ms INTEGER NOT NULL, status TEXT NOT NULL,
  kind TEXT, code TEXT, message TEXT, http_status INTEGER, maybe_billed INTEGER NOT NULL,
  cost_usd REAL, cost_estimated INTEGER NOT NULL DEFAULT 0, created INTEGER, request_id TEXT, task_id TEXT,
  input_tokens INTEGER, output_tokens INTEGER, latency_s REAL, flags TEXT, quarantined TEXT
);

-- Image files, durable before their outcome is. `sha256` is the raw digest.
CREATE TABLE images (
  attempt INTEGER NOT NULL, idx INTEGER NOT NULL, file_name TEXT NOT NULL, format TEXT NOT NULL,
  width INTEGER, height INTEGER, bytes INTEGER NOT NULL, sha256 BLOB NOT NULL, revised_prompt TEXT, flags TEXT,
  PRIMARY KEY (attempt, idx)
) WITHOUT ROWID;

-- Images asked for that a paid answer did not yield.
CREATE TABLE missing (
  attempt INTEGER NOT NULL, idx INTEGER NOT NULL, kind TEXT NOT NULL, message TEXT NOT NULL, revised_prompt TEXT,
  PRIMARY KEY (attempt, idx)
) WITHOUT ROWID;

-- Every results.parquet that was about to be published, in order: which bytes are ours. `sha256` is the raw digest.
CREATE TABLE tables (number INTEGER PRIMARY KEY, written_ms INTEGER NOT NULL, sha256 BLOB NOT NULL);

-- The service's promise of an asynchronous answer: durable before the first poll. An attempt with one and without an outcome is polled.
CREATE TABLE tasks (
  attempt INTEGER PRIMARY KEY, task_id TEXT NOT NULL, poll_url TEXT, accepted_ms INTEGER NOT NULL
);

-- Each time that imagemill stopped polling a task before it ended; the next run goes on.
CREATE TABLE task_waits (attempt INTEGER NOT NULL, stopped_ms INTEGER NOT NULL, message TEXT NOT NULL);

-- Image files that `prune` removes: recorded before the file is unlinked.
CREATE TABLE pruned (
  attempt INTEGER NOT NULL, idx INTEGER NOT NULL, pruned_ms INTEGER NOT NULL,
  PRIMARY KEY (attempt, idx)
) WITHOUT ROWID;
