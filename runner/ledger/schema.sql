-- The ledger of one imagemill folder. Rows are only ever added, but for images that are fetched later: see `unfetched`. Times are Unix milliseconds, money is USD.

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
-- `digest`: what `verify` holds id and prompt against; NULL before version 4.
CREATE TABLE items (
  item INTEGER PRIMARY KEY, fingerprint BLOB NOT NULL, row_id TEXT NOT NULL, prompt TEXT NOT NULL, digest BLOB
);

-- Another row that an item stands for: the same request under another id, as `--on-change keep` said. `fingerprint`: that row's.
CREATE TABLE aliases (fingerprint BLOB PRIMARY KEY, item INTEGER NOT NULL, row_id TEXT NOT NULL) WITHOUT ROWID;

-- Distinct sets of body fields other than the prompt, as canonical JSON. `digest`: as in `items`.
CREATE TABLE params (params INTEGER PRIMARY KEY, body TEXT NOT NULL UNIQUE, digest BLOB);

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

-- Paid answers with images behind URLs, durable before the first is fetched; gone once each image is fetched or dead. Until then
-- the attempt's outcome, if it has one, is replaced by the next.
-- `links` (JSON): position, url, revised prompt, when its host first said it was not there, kind and message of the last failure.
-- `reported` (JSON): what the service said beside them. `saved`: images recorded so far; NULL: no outcome yet.
CREATE TABLE unfetched (
  attempt INTEGER PRIMARY KEY, since_ms INTEGER NOT NULL, links TEXT NOT NULL, reported TEXT NOT NULL,
  images INTEGER NOT NULL, more INTEGER NOT NULL, http_status INTEGER NOT NULL, saved INTEGER
);

-- Answers that are kept, though not where they belong: some of what came is in this spool file, from which the next run concludes them.
CREATE TABLE spooled (attempt INTEGER PRIMARY KEY, file_name TEXT NOT NULL);

-- Quarantined bodies, as they were kept. `sha256` is the raw digest. Bodies from before version 4 are not here.
CREATE TABLE bodies (file_name TEXT PRIMARY KEY, bytes INTEGER NOT NULL, sha256 BLOB NOT NULL) WITHOUT ROWID;

-- Image files that `prune` removes: recorded before the file is unlinked.
CREATE TABLE pruned (
  attempt INTEGER NOT NULL, idx INTEGER NOT NULL, pruned_ms INTEGER NOT NULL,
  PRIMARY KEY (attempt, idx)
) WITHOUT ROWID;
