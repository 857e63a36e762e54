BEGIN TRANSACTION;
CREATE TABLE acceptances (
        no INTEGER PRIMARY KEY AUTOINCREMENT,
        id TEXT NOT NULL UNIQUE,
        at TEXT NOT NULL,
        reason TEXT NOT NULL,
        serial INTEGER NOT NULL,
        newest INTEGER NOT NULL,
        other TEXT NOT NULL,
        lost TEXT NOT NULL,
        last_batch INTEGER NOT NULL,
        last_event INTEGER NOT NULL
    ) STRICT;
CREATE TABLE applied_plans (
        plan_file TEXT NOT NULL,
        job TEXT NOT NULL,
        run TEXT NOT NULL,
        at TEXT NOT NULL,
        PRIMARY KEY (plan_file, job)
    ) STRICT;
CREATE TABLE approvals (
        job TEXT NOT NULL,
        plan TEXT NOT NULL,
        reason TEXT NOT NULL,
        at TEXT NOT NULL,
        PRIMARY KEY (job, plan)
    ) STRICT;
CREATE TABLE attempts (
        job TEXT NOT NULL,
        digest TEXT NOT NULL,
        attempt INTEGER NOT NULL CHECK (attempt > 0),
        PRIMARY KEY (job, digest)
    ) STRICT;
INSERT INTO "attempts" VALUES('guests','0000000000000000000000000000000000000000000000000000000000000001',1);
INSERT INTO "attempts" VALUES('guests','0000000000000000000000000000000000000000000000000000000000000002',1);
CREATE TABLE "batches" (
        no INTEGER PRIMARY KEY AUTOINCREMENT,
        id TEXT NOT NULL UNIQUE,
        run TEXT NOT NULL REFERENCES runs (id),
        job TEXT NOT NULL,
        seq INTEGER NOT NULL,
        path TEXT NOT NULL,
        row_manifest TEXT NOT NULL,
        digest TEXT NOT NULL,
        md5 TEXT NOT NULL,
        size INTEGER NOT NULL,
        rows INTEGER NOT NULL,
        phase TEXT NOT NULL CHECK (
            phase IN ('prepared', 'allocated', 'uploaded', 'submitted', 'finished', 'collected', 'delivered', 'needs_attention')
        ),
        prepared_at TEXT NOT NULL,
        account_id TEXT NOT NULL,
        target TEXT NOT NULL,
        attempt INTEGER NOT NULL CHECK (attempt > 0),
        lost_allocations INTEGER NOT NULL,
        pending_intent TEXT,
        intent_at TEXT,
        allocation_id TEXT,
        allocation_expires_at TEXT,
        submitted_at TEXT,
        polls INTEGER NOT NULL,
        vendor_status TEXT NOT NULL,
        verdict TEXT,
        counts TEXT,
        failures INTEGER NOT NULL,
        not_before TEXT,
        reason TEXT NOT NULL,
        parked_from TEXT,
        checksum TEXT NOT NULL, foreign_answers INTEGER NOT NULL DEFAULT 0,
        UNIQUE (run, seq),
        CHECK (phase NOT IN ('collected', 'delivered') OR counts IS NOT NULL)
    ) STRICT;
INSERT INTO "batches" VALUES(1,'guests-1-batch-1','guests-1','guests',1,'/staging/guests-1-1.gz','/staging/guests-1-1.parquet','0000000000000000000000000000000000000000000000000000000000000001','eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee',1234,10,'delivered','2026-11-22T02:00:00.123456+00:00','motorweb:acme','{"a":"b","service":"Vehicle ID"}',1,0,NULL,NULL,'allocation-1','2026-11-22T03:00:00.123456+00:00','2026-11-22T02:00:00.123456+00:00',0,'done','mixed','{"accepted":7,"rejected":2,"unknown":1}',0,NULL,'',NULL,'46937ec415d0a6ab578ae34589712c10',0);
INSERT INTO "batches" VALUES(2,'guests-1-batch-2','guests-1','guests',2,'/staging/guests-1-2.gz','/staging/guests-1-2.parquet','0000000000000000000000000000000000000000000000000000000000000002','eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee',1234,10,'prepared','2026-11-22T02:00:00.123456+00:00','motorweb:acme','{"a":"b","service":"Vehicle ID"}',1,0,NULL,NULL,NULL,NULL,NULL,0,'',NULL,NULL,0,NULL,'',NULL,'3a4ea18b986f3b69436e6820213cf275',0);
CREATE TABLE erasures (
        batch TEXT PRIMARY KEY REFERENCES batches (id),
        job TEXT NOT NULL,
        ops TEXT NOT NULL
    ) STRICT;
CREATE TABLE events (
        no INTEGER PRIMARY KEY AUTOINCREMENT,
        batch TEXT NOT NULL REFERENCES batches (id),
        at TEXT NOT NULL,
        kind TEXT NOT NULL,
        payload TEXT NOT NULL,
        epoch INTEGER,
        chain TEXT NOT NULL
    ) STRICT;
INSERT INTO "events" VALUES(1,'guests-1-batch-1','2026-11-22T02:00:00.123456+00:00','Prepared','{"accepted":null,"account_id":"motorweb:acme","allocation_expires_at":null,"allocation_id":null,"attempt":1,"checksum":"b8d7a83632be65fc8efeab86d9595421","digest":"0000000000000000000000000000000000000000000000000000000000000001","failures":0,"id":"guests-1-batch-1","intent_at":null,"job":"guests","lost_allocations":0,"md5":"eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee","not_before":null,"parked_from":null,"path":"/staging/guests-1-1.gz","pending_intent":null,"phase":"prepared","polls":0,"prepared_at":"2026-11-22T02:00:00.123456+00:00","reason":"","rejected":null,"row_manifest":"/staging/guests-1-1.parquet","rows":10,"run":"guests-1","seq":1,"size":1234,"submitted_at":null,"target":"{\"a\":\"b\",\"service\":\"Vehicle ID\"}","unknown":null,"vendor_status":"","verdict":null}',NULL,'1a352fd7a06b1559c991bcdb78c3e38ed9e339624ab0006ba3e9dbe5b7a57355');
INSERT INTO "events" VALUES(2,'guests-1-batch-2','2026-11-22T02:00:00.123456+00:00','Prepared','{"accepted":null,"account_id":"motorweb:acme","allocation_expires_at":null,"allocation_id":null,"attempt":1,"checksum":"d0a409480e92be1aa8be5b1aef0639aa","digest":"0000000000000000000000000000000000000000000000000000000000000002","failures":0,"id":"guests-1-batch-2","intent_at":null,"job":"guests","lost_allocations":0,"md5":"eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee","not_before":null,"parked_from":null,"path":"/staging/guests-1-2.gz","pending_intent":null,"phase":"prepared","polls":0,"prepared_at":"2026-11-22T02:00:00.123456+00:00","reason":"","rejected":null,"row_manifest":"/staging/guests-1-2.parquet","rows":10,"run":"guests-1","seq":2,"size":1234,"submitted_at":null,"target":"{\"a\":\"b\",\"service\":\"Vehicle ID\"}","unknown":null,"vendor_status":"","verdict":null}',NULL,'fbc774119d7b6c7766763bdd6c89bc8a934a7b28e2dbeee82d38bec5c8095307');
INSERT INTO "events" VALUES(3,'guests-1-batch-1','2026-11-22T02:00:00.123456+00:00','IntentRecorded','{"verb":"allocate"}',NULL,'5e899eaa66c1480dcab2a07c018ef59dc9b3d5460f1a12b75365ebbce44e4175');
INSERT INTO "events" VALUES(4,'guests-1-batch-1','2026-11-22T02:00:00.123456+00:00','Allocated','{"allocation":{"expires_at":"2026-11-22T03:00:00.123456+00:00","id":"allocation-1"}}',NULL,'e33bd750d654a91ef6d9dcbb6cd42daf0074a8d46e7aecb6e9909c65f43b1134');
INSERT INTO "events" VALUES(5,'guests-1-batch-1','2026-11-22T02:00:00.123456+00:00','IntentRecorded','{"verb":"upload"}',NULL,'9e73c772030b01dfe0fabf527d39763c961be19401a28f8dba4eaf69f5ca5170');
INSERT INTO "events" VALUES(6,'guests-1-batch-1','2026-11-22T02:00:00.123456+00:00','Uploaded','{"allocation":null}',NULL,'f5d96e9a7fe1a4ae0729046575d7b9c4125059000dfdf1f2721a90bc3b221655');
INSERT INTO "events" VALUES(7,'guests-1-batch-1','2026-11-22T02:05:00.123456+00:00','VendorFinished','{"vendor_status":"done","verdict":"mixed"}',NULL,'2b3ed9e1000e50df35f910d86c560747770439124b96d07ed48de61904f25b55');
INSERT INTO "events" VALUES(8,'guests-1-batch-1','2026-11-22T02:05:00.123456+00:00','Collected','{"counts":{"accepted":7,"rejected":2,"unknown":1}}',NULL,'816da1bb8ed0d8b1da0d96105a9161e1c42b587eb7ba94bb605810e8e9750223');
INSERT INTO "events" VALUES(9,'guests-1-batch-1','2026-11-22T02:05:00.123456+00:00','Delivered','{}',NULL,'2a7f509873e7a88f657f61eb511e3efda9dc19d820d7f7c8fff97e06fa9b1a35');
CREATE TABLE leases (
        job TEXT PRIMARY KEY,
        epoch INTEGER NOT NULL,
        owner TEXT NOT NULL,
        since TEXT NOT NULL
    ) STRICT;
CREATE TABLE meta (
        id INTEGER PRIMARY KEY CHECK (id = 1),
        journal_id TEXT NOT NULL,
        serial INTEGER NOT NULL
    ) STRICT;
INSERT INTO "meta" VALUES(1,'',8);
CREATE TABLE pruned_events (
        first INTEGER PRIMARY KEY,
        last INTEGER NOT NULL CHECK (last >= first),
        chain TEXT NOT NULL
    ) STRICT;
CREATE TABLE pruned_runs (
        job TEXT PRIMARY KEY,
        runs INTEGER NOT NULL CHECK (runs > 0)
    ) STRICT;
CREATE TABLE rejects (
        no INTEGER PRIMARY KEY,
        run TEXT NOT NULL REFERENCES runs (id),
        batch TEXT REFERENCES batches (id),
        job TEXT NOT NULL,
        kind TEXT NOT NULL,
        key TEXT NOT NULL,
        code TEXT NOT NULL,
        field TEXT NOT NULL,
        reason TEXT NOT NULL,
        line INTEGER NOT NULL,
        row INTEGER NOT NULL,
        retry INTEGER NOT NULL,
        at TEXT NOT NULL
    ) STRICT;
INSERT INTO "rejects" VALUES(1,'guests-1',NULL,'guests','invalid','7','date','born','not a date',0,7,0,'2026-11-22T02:00:00.123456+00:00');
INSERT INTO "rejects" VALUES(2,'guests-1','guests-1-batch-1','guests','unknown','1','','','no answer',1,1,0,'2026-11-22T02:05:00.123456+00:00');
CREATE TABLE renames (
        no INTEGER PRIMARY KEY AUTOINCREMENT,
        former TEXT NOT NULL,
        job TEXT NOT NULL,
        last_batch INTEGER NOT NULL,
        at TEXT NOT NULL
    ) STRICT;
CREATE TABLE runs (
        no INTEGER PRIMARY KEY AUTOINCREMENT,
        id TEXT NOT NULL UNIQUE,
        job TEXT NOT NULL,
        serial INTEGER NOT NULL CHECK (serial > 0),
        spec_hash TEXT NOT NULL,
        account_id TEXT NOT NULL,
        state TEXT NOT NULL CHECK (state IN ('preparing', 'prepared', 'awaiting_approval', 'settled')),
        created_at TEXT NOT NULL,
        settled_at TEXT,
        counts TEXT NOT NULL,
        plan TEXT NOT NULL,
        watermark TEXT,
        warnings TEXT NOT NULL,
        reason TEXT NOT NULL,
        removal_hash TEXT NOT NULL,
        checksum TEXT NOT NULL, source_files INTEGER,
        UNIQUE (job, serial)
    ) STRICT;
INSERT INTO "runs" VALUES(1,'guests-1','guests',1,'ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff','motorweb:acme','prepared','2026-11-22T02:00:00.123456+00:00',NULL,'{"added":20,"changed":0,"deferred":0,"invalid":2,"removed":0,"resent":0,"selected":25,"source_rows":25,"still_rejected":0,"still_unknown":0,"unchanged":3,"unstaged":0}','pppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppp',NULL,'{"email":3}','','','bfd8f7fd5591db46fdb37cc3334b1b18',NULL);
CREATE TABLE segments (
        job TEXT NOT NULL,
        account_id TEXT NOT NULL,
        place INTEGER NOT NULL CHECK (place >= 0),
        file TEXT NOT NULL,
        digest TEXT NOT NULL,
        rows INTEGER NOT NULL,
        PRIMARY KEY (job, account_id, place)
    ) STRICT;
CREATE TABLE ticks (
        job TEXT NOT NULL,
        tick_at TEXT NOT NULL,
        PRIMARY KEY (job, tick_at)
    ) STRICT;
CREATE TABLE tombstones (
        job TEXT NOT NULL,
        key_hash TEXT NOT NULL,
        at TEXT NOT NULL,
        by TEXT NOT NULL,
        reason TEXT NOT NULL,
        PRIMARY KEY (job, key_hash)
    ) STRICT;
CREATE INDEX runs_open ON runs (job) WHERE state IN ('preparing', 'prepared', 'awaiting_approval');
CREATE INDEX events_by_batch ON events (batch);
CREATE INDEX rejects_by_key ON rejects (job, key);
CREATE INDEX rejects_by_run ON rejects (run, kind);
CREATE INDEX batches_open ON batches (job) WHERE phase <> 'delivered';
CREATE INDEX batches_by_content ON batches (job, digest, attempt);
CREATE TRIGGER batches_balance_on_insert BEFORE INSERT ON batches WHEN NEW.counts IS NOT NULL AND (SELECT sum(value) FROM json_each(NEW.counts)) IS NOT NEW.rows BEGIN SELECT RAISE(ABORT, 'the row outcomes of a batch do not add up to its rows'); END;
CREATE TRIGGER batches_balance_on_update BEFORE UPDATE ON batches WHEN NEW.counts IS NOT NULL AND (SELECT sum(value) FROM json_each(NEW.counts)) IS NOT NEW.rows BEGIN SELECT RAISE(ABORT, 'the row outcomes of a batch do not add up to its rows'); END;
CREATE TRIGGER attempts_are_never_deleted BEFORE DELETE ON attempts
    BEGIN SELECT RAISE(ABORT, 'used idempotency keys are kept'); END;
CREATE TRIGGER attempts_never_decrease BEFORE UPDATE ON attempts
    WHEN NEW.attempt < OLD.attempt OR NEW.job <> OLD.job OR NEW.digest <> OLD.digest
    BEGIN SELECT RAISE(ABORT, 'used idempotency keys are kept'); END;
CREATE VIEW needed_batches AS
        SELECT id FROM batches WHERE phase = 'delivered'
            AND EXISTS (SELECT 1 FROM json_each(counts) WHERE key = 'unknown' AND value > 0)
        UNION SELECT batch FROM erasures;
CREATE INDEX runs_by_age ON runs (job, created_at);
CREATE INDEX rejects_by_age ON rejects (job, at);
CREATE INDEX rejects_by_batch ON rejects (batch);
CREATE TRIGGER events_are_only_redacted BEFORE UPDATE ON events
    WHEN NEW.no <> OLD.no OR NEW.batch <> OLD.batch OR NEW.at <> OLD.at OR NEW.kind <> OLD.kind
        OR NEW.epoch IS NOT OLD.epoch OR NEW.chain <> OLD.chain OR NOT EXISTS (
            SELECT 1 FROM events AS redaction WHERE redaction.batch = OLD.batch AND redaction.kind = 'Redacted'
            AND (SELECT value FROM json_each(redaction.payload) WHERE key = 'event') = OLD.no AND redaction.no > OLD.no)
    BEGIN SELECT RAISE(ABORT, 'events are append-only'); END;
CREATE TRIGGER events_are_only_pruned BEFORE DELETE ON events
    WHEN NOT EXISTS (SELECT 1 FROM pruned_events WHERE OLD.no BETWEEN first AND last)
    BEGIN SELECT RAISE(ABORT, 'events are append-only'); END;
CREATE TRIGGER applied_plans_are_never_deleted BEFORE DELETE ON applied_plans
    BEGIN SELECT RAISE(ABORT, 'applied plans are kept'); END;
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('runs',1);
INSERT INTO "sqlite_sequence" VALUES('events',9);
INSERT INTO "sqlite_sequence" VALUES('batches',2);
COMMIT;
PRAGMA application_id = 1651734894;
PRAGMA user_version = 5;
