BEGIN TRANSACTION;
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('0005');
CREATE TABLE captions (
    id INTEGER NOT NULL PRIMARY KEY,
    path TEXT NOT NULL,
    text TEXT NOT NULL,
    hash TEXT NOT NULL,
    source TEXT NOT NULL,
    run_id INTEGER,
    job_id INTEGER,
    model TEXT,
    variant TEXT,
    prompt TEXT,
    settings TEXT,
    seed INTEGER,
    tokens INTEGER,
    created_ms INTEGER NOT NULL, before_id INTEGER,
    CONSTRAINT source_is_known CHECK (source IN ('model', 'hand', 'import')),
    CONSTRAINT model_of_the_models CHECK ((model IS NOT NULL) = (source = 'model')),
    CONSTRAINT job_of_the_models CHECK ((job_id IS NOT NULL) = (source = 'model'))
) STRICT
;
INSERT INTO "captions" VALUES(1,'/pictures/edited/e1.png','picture cb27307a, mostly black','b9fba5ccce61db899b3e49590174b4ab2404f263908eb959152bf76d5a64f972','model',1,2,'shapes','shapes',NULL,'{"max_new_tokens":24,"min_new_tokens":0,"num_beams":1,"temperature":0.0,"repetition_penalty":1.0}',NULL,4,1795979599560,NULL);
INSERT INTO "captions" VALUES(2,'/pictures/edited/e0.png','picture ef115a0e, mostly black','a35ca0670597bcec2f01d0cd89354cf9912317f8dd013bc8f91ff4e398a26eea','model',1,1,'shapes','shapes',NULL,'{"max_new_tokens":24,"min_new_tokens":0,"num_beams":1,"temperature":0.0,"repetition_penalty":1.0}',NULL,4,1795979599560,NULL);
INSERT INTO "captions" VALUES(3,'/pictures/edited/e2.png','picture 0c0cef5e, mostly green','70a9a3c74dfc5c11fc9a6630bb8c4abcf14445df4146d8577db2d0b139ad7a75','model',1,3,'shapes','shapes',NULL,'{"max_new_tokens":24,"min_new_tokens":0,"num_beams":1,"temperature":0.0,"repetition_penalty":1.0}',NULL,4,1795979599560,NULL);
INSERT INTO "captions" VALUES(4,'/pictures/edited/e0.png','a text of my own','d32256386bf647177fe5a63c1680911272ecc982762b86e631f4f0a378e40001','hand',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,1795979602298,NULL);
INSERT INTO "captions" VALUES(5,'/pictures/edited/e1.png','another of my own','fcd7d0f0089eee7e422905ae645955a1d9f7183b0eba4894bfaf8352deb51933','hand',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,1795979604285,NULL);
INSERT INTO "captions" VALUES(6,'/pictures/edited/e0.png','ohwx, a text of my own','b3a6e703b595bc700ebfd6e3c5b570252224e8d83b71b6d4482cbea0d06c706f','hand',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,1795979608900,NULL);
INSERT INTO "captions" VALUES(7,'/pictures/edited/e1.png','ohwx, picture cb27307a, mostly black','a7600f292489783d8cca273b1144507856e79294806c7073ad958dc9e3b54588','hand',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,1795979608900,NULL);
INSERT INTO "captions" VALUES(8,'/pictures/edited/e2.png','ohwx, picture 0c0cef5e, mostly green','0461de021824399de8410e4dcab45480191af28c3e85b456c10a47030878b2b6','hand',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,1795979608900,NULL);
INSERT INTO "captions" VALUES(9,'/pictures/ended/n1.png','picture cb27307a, mostly black','b9fba5ccce61db899b3e49590174b4ab2404f263908eb959152bf76d5a64f972','model',2,5,'shapes','shapes',NULL,'{"max_new_tokens":24,"min_new_tokens":0,"num_beams":1,"temperature":0.0,"repetition_penalty":1.0}',NULL,4,1795979614007,NULL);
INSERT INTO "captions" VALUES(10,'/pictures/ended/n0.png','picture ef115a0e, mostly black','a35ca0670597bcec2f01d0cd89354cf9912317f8dd013bc8f91ff4e398a26eea','model',2,4,'shapes','shapes',NULL,'{"max_new_tokens":24,"min_new_tokens":0,"num_beams":1,"temperature":0.0,"repetition_penalty":1.0}',NULL,4,1795979614007,NULL);
INSERT INTO "captions" VALUES(11,'/pictures/ended/n1.png','q picture cb27307a, mostly black','cd6d4d1bc220f5249739e12164bc3d4639136b2862c711963dd900bfaac8fcdc','model',3,7,'shapes','shapes',NULL,'{"max_new_tokens":24,"min_new_tokens":0,"num_beams":1,"temperature":0.0,"repetition_penalty":1.0}',NULL,4,1795979619067,NULL);
INSERT INTO "captions" VALUES(12,'/pictures/ended/n0.png','q picture ef115a0e, mostly black','50bf2767dad1021f32e7f2d9372affffced74d3e6aee7c4d8c2e62903ecf3248','model',3,6,'shapes','shapes',NULL,'{"max_new_tokens":24,"min_new_tokens":0,"num_beams":1,"temperature":0.0,"repetition_penalty":1.0}',NULL,4,1795979619067,NULL);
INSERT INTO "captions" VALUES(13,'/pictures/ended/n1.png','found by captiv later','8d9b227e62cfae8ed91af27de83f47d693a53d330ea40f0bd1bc5d6c1350a21f','hand',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,1795979619078,11);
INSERT INTO "captions" VALUES(14,'/pictures/ended/n0.png','by hand','c9616cb59d02c9ee41e1bd3f02c60ee7ca83b44ecf5719ced43f1a14e0391ed9','hand',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,1795979621034,NULL);
INSERT INTO "captions" VALUES(15,'/pictures/ended/n1.png','r picture cb27307a, mostly black','d7ea10da9c64820e9602c7609839e41c5f1108ecf4a1a22e66a75aa5c0e9b3b1','model',4,9,'shapes','shapes',NULL,'{"max_new_tokens":24,"min_new_tokens":0,"num_beams":1,"temperature":0.0,"repetition_penalty":1.0}',NULL,4,1795979624795,NULL);
INSERT INTO "captions" VALUES(16,'/pictures/going/g01.png','picture cb27307a, mostly black','b9fba5ccce61db899b3e49590174b4ab2404f263908eb959152bf76d5a64f972','model',6,14,'shapes','shapes',NULL,'{"max_new_tokens":24,"min_new_tokens":0,"num_beams":1,"temperature":0.0,"repetition_penalty":1.0}',NULL,4,1795979630809,NULL);
INSERT INTO "captions" VALUES(17,'/pictures/going/g02.png','picture 0c0cef5e, mostly green','70a9a3c74dfc5c11fc9a6630bb8c4abcf14445df4146d8577db2d0b139ad7a75','model',6,15,'shapes','shapes',NULL,'{"max_new_tokens":24,"min_new_tokens":0,"num_beams":1,"temperature":0.0,"repetition_penalty":1.0}',NULL,4,1795979630884,NULL);
CREATE TABLE edit_changes (
    id INTEGER NOT NULL PRIMARY KEY,
    edit_id INTEGER NOT NULL REFERENCES edits (id),
    sidecar TEXT NOT NULL,
    old_id INTEGER NOT NULL REFERENCES captions (id),
    new_id INTEGER NOT NULL REFERENCES captions (id)
) STRICT
;
INSERT INTO "edit_changes" VALUES(1,1,'/pictures/edited/e0.txt',4,6);
INSERT INTO "edit_changes" VALUES(2,1,'/pictures/edited/e1.txt',1,7);
INSERT INTO "edit_changes" VALUES(3,1,'/pictures/edited/e2.txt',3,8);
CREATE TABLE edits (
    id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    what TEXT NOT NULL,
    created_ms INTEGER NOT NULL,
    undone_ms INTEGER
) STRICT
;
INSERT INTO "edits" VALUES(1,'trigger word ''ohwx''',1795979608896,NULL);
CREATE TABLE jobs (
    id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    run_id INTEGER NOT NULL REFERENCES runs (id),
    path TEXT NOT NULL,
    state TEXT DEFAULT 'pending' NOT NULL,
    attempt INTEGER DEFAULT 0 NOT NULL,
    tries INTEGER DEFAULT 0 NOT NULL,
    crashes INTEGER DEFAULT 0 NOT NULL,
    suspect INTEGER DEFAULT 0 NOT NULL,
    session_id INTEGER REFERENCES sessions (id),
    caption_id INTEGER REFERENCES captions (id),
    note TEXT,
    error_code TEXT,
    error TEXT,
    error_text TEXT,
    created_ms INTEGER NOT NULL,
    claimed_ms INTEGER,
    finished_ms INTEGER, misses INTEGER NOT NULL DEFAULT 0 CONSTRAINT misses_is_a_count CHECK (misses >= 0),
    CONSTRAINT once_in_a_run UNIQUE (run_id, path),
    CONSTRAINT state_is_known CHECK (
        state IN ('pending', 'running', 'captioned', 'done', 'failed', 'cancelled')
    ),
    CONSTRAINT suspect_is_a_flag CHECK (suspect IN (0, 1)),
    CONSTRAINT charges_are_counts CHECK (min(attempt, tries, crashes) >= 0),
    CONSTRAINT session_of_the_running CHECK ((session_id IS NOT NULL) = (state = 'running')),
    CONSTRAINT claimed_ms_of_the_running CHECK (claimed_ms IS NOT NULL OR state <> 'running'),
    CONSTRAINT kept_is_done CHECK (note IS NULL OR (note = 'kept' AND state = 'done')),
    CONSTRAINT caption_of_the_captioned CHECK (
        CASE
            WHEN state = 'captioned' THEN caption_id IS NOT NULL
            WHEN state = 'done' THEN caption_id IS NOT NULL OR note IS NOT NULL
            ELSE caption_id IS NULL
        END
    ),
    CONSTRAINT error_of_the_failed CHECK (
        (error_code IS NULL) = (error IS NULL)
        AND (error_code IS NOT NULL OR state <> 'failed')
        AND (error_code IS NULL OR state IN ('failed', 'captioned'))
        AND (error_text IS NULL OR state = 'failed')
    ),
    CONSTRAINT finished_ms_of_the_ended CHECK (
        (finished_ms IS NOT NULL) = (state IN ('done', 'failed', 'cancelled'))
    )
) STRICT
;
INSERT INTO "jobs" VALUES(1,1,'/pictures/edited/e0.png','done',1,0,0,0,NULL,2,NULL,NULL,NULL,NULL,1795979597495,1795979599433,1795979599635,0);
INSERT INTO "jobs" VALUES(2,1,'/pictures/edited/e1.png','done',1,0,0,0,NULL,1,NULL,NULL,NULL,NULL,1795979597495,1795979599433,1795979599635,0);
INSERT INTO "jobs" VALUES(3,1,'/pictures/edited/e2.png','done',1,0,0,0,NULL,3,NULL,NULL,NULL,NULL,1795979597495,1795979599433,1795979599635,0);
INSERT INTO "jobs" VALUES(4,2,'/pictures/ended/n0.png','done',1,0,0,0,NULL,10,NULL,NULL,NULL,NULL,1795979612740,1795979613894,1795979614086,0);
INSERT INTO "jobs" VALUES(5,2,'/pictures/ended/n1.png','done',1,0,0,0,NULL,9,NULL,NULL,NULL,NULL,1795979612740,1795979613894,1795979614086,0);
INSERT INTO "jobs" VALUES(6,3,'/pictures/ended/n0.png','done',1,0,0,0,NULL,12,NULL,NULL,NULL,NULL,1795979616962,1795979618962,1795979619146,0);
INSERT INTO "jobs" VALUES(7,3,'/pictures/ended/n1.png','done',1,0,0,0,NULL,11,NULL,NULL,NULL,NULL,1795979616962,1795979618962,1795979619146,0);
INSERT INTO "jobs" VALUES(8,4,'/pictures/ended/n0.png','done',0,0,0,0,NULL,NULL,'kept',NULL,NULL,NULL,1795979623795,NULL,1795979623795,0);
INSERT INTO "jobs" VALUES(9,4,'/pictures/ended/n1.png','done',1,0,0,0,NULL,15,NULL,NULL,NULL,NULL,1795979623795,1795979624666,1795979624867,0);
INSERT INTO "jobs" VALUES(10,5,'/pictures/rented/r0.png','pending',0,0,0,0,NULL,NULL,NULL,NULL,NULL,NULL,1795979623742,NULL,NULL,0);
INSERT INTO "jobs" VALUES(11,5,'/pictures/rented/r1.png','pending',0,0,0,0,NULL,NULL,NULL,NULL,NULL,NULL,1795979623742,NULL,NULL,0);
INSERT INTO "jobs" VALUES(12,5,'/pictures/rented/r2.png','pending',0,0,0,0,NULL,NULL,NULL,NULL,NULL,NULL,1795979623742,NULL,NULL,0);
INSERT INTO "jobs" VALUES(13,6,'/pictures/going/g00.png','failed',1,0,0,0,NULL,NULL,NULL,'image_unreadable','the file is empty',NULL,1795979629491,1795979630750,1795979630809,0);
INSERT INTO "jobs" VALUES(14,6,'/pictures/going/g01.png','captioned',1,0,0,0,NULL,16,NULL,'sidecar_unwritable','cannot write /pictures/going/g01.txt: a folder has that name',NULL,1795979629491,1795979630750,NULL,0);
INSERT INTO "jobs" VALUES(15,6,'/pictures/going/g02.png','done',1,0,0,0,NULL,17,NULL,NULL,NULL,NULL,1795979629491,1795979630750,1795979630941,0);
INSERT INTO "jobs" VALUES(16,6,'/pictures/going/g03.png','running',1,0,0,0,5,NULL,NULL,NULL,NULL,NULL,1795979629491,1795979630750,NULL,0);
INSERT INTO "jobs" VALUES(17,6,'/pictures/going/g04.png','running',1,0,0,0,5,NULL,NULL,NULL,NULL,NULL,1795979629491,1795979630750,NULL,0);
INSERT INTO "jobs" VALUES(18,6,'/pictures/going/g05.png','running',1,0,0,0,5,NULL,NULL,NULL,NULL,NULL,1795979629491,1795979630750,NULL,0);
INSERT INTO "jobs" VALUES(19,6,'/pictures/going/g06.png','running',1,0,0,0,5,NULL,NULL,NULL,NULL,NULL,1795979629491,1795979630750,NULL,0);
INSERT INTO "jobs" VALUES(20,6,'/pictures/going/g07.png','running',1,0,0,0,5,NULL,NULL,NULL,NULL,NULL,1795979629491,1795979630750,NULL,0);
INSERT INTO "jobs" VALUES(21,6,'/pictures/going/g08.png','running',1,0,0,0,5,NULL,NULL,NULL,NULL,NULL,1795979629491,1795979630750,NULL,0);
INSERT INTO "jobs" VALUES(22,6,'/pictures/going/g09.png','running',1,0,0,0,5,NULL,NULL,NULL,NULL,NULL,1795979629491,1795979630750,NULL,0);
INSERT INTO "jobs" VALUES(23,6,'/pictures/going/g10.png','running',1,0,0,0,5,NULL,NULL,NULL,NULL,NULL,1795979629491,1795979630750,NULL,0);
INSERT INTO "jobs" VALUES(24,6,'/pictures/going/g11.png','running',1,0,0,0,5,NULL,NULL,NULL,NULL,NULL,1795979629491,1795979630750,NULL,0);
INSERT INTO "jobs" VALUES(25,6,'/pictures/going/g12.png','running',1,0,0,0,5,NULL,NULL,NULL,NULL,NULL,1795979629491,1795979630750,NULL,0);
INSERT INTO "jobs" VALUES(26,6,'/pictures/going/g13.png','running',1,0,0,0,5,NULL,NULL,NULL,NULL,NULL,1795979629491,1795979630750,NULL,0);
INSERT INTO "jobs" VALUES(27,6,'/pictures/going/g14.png','running',1,0,0,0,5,NULL,NULL,NULL,NULL,NULL,1795979629491,1795979630750,NULL,0);
INSERT INTO "jobs" VALUES(28,6,'/pictures/going/g15.png','running',1,0,0,0,5,NULL,NULL,NULL,NULL,NULL,1795979629491,1795979630750,NULL,0);
INSERT INTO "jobs" VALUES(29,6,'/pictures/going/g16.png','running',1,0,0,0,5,NULL,NULL,NULL,NULL,NULL,1795979629491,1795979630750,NULL,0);
INSERT INTO "jobs" VALUES(30,6,'/pictures/going/g17.png','running',1,0,0,0,5,NULL,NULL,NULL,NULL,NULL,1795979629491,1795979630750,NULL,0);
INSERT INTO "jobs" VALUES(31,6,'/pictures/going/g18.png','running',1,0,0,0,5,NULL,NULL,NULL,NULL,NULL,1795979629491,1795979630750,NULL,0);
INSERT INTO "jobs" VALUES(32,6,'/pictures/going/g19.png','running',1,0,0,0,5,NULL,NULL,NULL,NULL,NULL,1795979629491,1795979630750,NULL,0);
INSERT INTO "jobs" VALUES(33,6,'/pictures/going/g20.png','running',1,0,0,0,5,NULL,NULL,NULL,NULL,NULL,1795979629491,1795979630750,NULL,0);
INSERT INTO "jobs" VALUES(34,6,'/pictures/going/g21.png','running',1,0,0,0,5,NULL,NULL,NULL,NULL,NULL,1795979629491,1795979630750,NULL,0);
INSERT INTO "jobs" VALUES(35,6,'/pictures/going/g22.png','running',1,0,0,0,5,NULL,NULL,NULL,NULL,NULL,1795979629491,1795979630750,NULL,0);
INSERT INTO "jobs" VALUES(36,6,'/pictures/going/g23.png','running',1,0,0,0,5,NULL,NULL,NULL,NULL,NULL,1795979629491,1795979630750,NULL,0);
INSERT INTO "jobs" VALUES(37,6,'/pictures/going/g24.png','running',1,0,0,0,5,NULL,NULL,NULL,NULL,NULL,1795979629491,1795979630750,NULL,0);
INSERT INTO "jobs" VALUES(38,6,'/pictures/going/g25.png','running',1,0,0,0,5,NULL,NULL,NULL,NULL,NULL,1795979629491,1795979630750,NULL,0);
INSERT INTO "jobs" VALUES(39,6,'/pictures/going/g26.png','running',1,0,0,0,5,NULL,NULL,NULL,NULL,NULL,1795979629491,1795979630750,NULL,0);
INSERT INTO "jobs" VALUES(40,6,'/pictures/going/g27.png','running',1,0,0,0,5,NULL,NULL,NULL,NULL,NULL,1795979629491,1795979630750,NULL,0);
INSERT INTO "jobs" VALUES(41,6,'/pictures/going/g28.png','running',1,0,0,0,5,NULL,NULL,NULL,NULL,NULL,1795979629491,1795979630750,NULL,0);
INSERT INTO "jobs" VALUES(42,6,'/pictures/going/g29.png','running',1,0,0,0,5,NULL,NULL,NULL,NULL,NULL,1795979629491,1795979630750,NULL,0);
INSERT INTO "jobs" VALUES(43,6,'/pictures/going/g30.png','running',1,0,0,0,5,NULL,NULL,NULL,NULL,NULL,1795979629491,1795979630750,NULL,0);
INSERT INTO "jobs" VALUES(44,6,'/pictures/going/g31.png','running',1,0,0,0,5,NULL,NULL,NULL,NULL,NULL,1795979629491,1795979630750,NULL,0);
INSERT INTO "jobs" VALUES(45,6,'/pictures/going/g32.png','pending',0,0,0,0,NULL,NULL,NULL,NULL,NULL,NULL,1795979629491,NULL,NULL,0);
INSERT INTO "jobs" VALUES(46,6,'/pictures/going/g33.png','pending',0,0,0,0,NULL,NULL,NULL,NULL,NULL,NULL,1795979629491,NULL,NULL,0);
INSERT INTO "jobs" VALUES(47,6,'/pictures/going/g34.png','pending',0,0,0,0,NULL,NULL,NULL,NULL,NULL,NULL,1795979629491,NULL,NULL,0);
INSERT INTO "jobs" VALUES(48,6,'/pictures/going/g35.png','pending',0,0,0,0,NULL,NULL,NULL,NULL,NULL,NULL,1795979629491,NULL,NULL,0);
CREATE TABLE pod_uses (
    id INTEGER NOT NULL PRIMARY KEY,
    pod_row INTEGER NOT NULL REFERENCES pods (id),
    run_id INTEGER NOT NULL,
    from_ms INTEGER NOT NULL,
    to_ms INTEGER,
    CONSTRAINT ends_after_it_began CHECK (to_ms IS NULL OR to_ms >= from_ms)
) STRICT
;
INSERT INTO "pod_uses" VALUES(1,1,5,1795979683742,1795983223742);
INSERT INTO "pod_uses" VALUES(2,2,5,1795979683742,NULL);
INSERT INTO "pod_uses" VALUES(3,4,5,1795979683742,1795983223742);
CREATE TABLE pods (
    id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL,
    pod_id TEXT,
    state TEXT DEFAULT 'intended' NOT NULL,
    made_by TEXT NOT NULL,
    run_id INTEGER,
    lingers INTEGER DEFAULT 0 NOT NULL,
    gpu TEXT NOT NULL,
    cloud TEXT NOT NULL,
    price_micro INTEGER NOT NULL,
    version TEXT NOT NULL,
    url TEXT,
    deadline_ms INTEGER,
    intended_ms INTEGER NOT NULL,
    created_ms INTEGER,
    ended_ms INTEGER,
    end_reason TEXT,
    CONSTRAINT name_is_used_once UNIQUE (name),
    CONSTRAINT state_is_known CHECK (state IN ('intended', 'live', 'ended')),
    CONSTRAINT made_by_is_known CHECK (made_by IN ('run', 'hand')),
    CONSTRAINT run_of_the_rented CHECK ((run_id IS NOT NULL) = (made_by = 'run')),
    CONSTRAINT lingers_is_a_flag CHECK (lingers IN (0, 1)),
    CONSTRAINT cloud_is_known CHECK (cloud IN ('secure', 'community')),
    CONSTRAINT price_is_a_price CHECK (price_micro >= 0),
    CONSTRAINT pod_id_of_the_arrived CHECK (
        CASE state
            WHEN 'intended' THEN pod_id IS NULL
            WHEN 'live' THEN pod_id IS NOT NULL
            ELSE 1
        END
        AND (pod_id IS NULL) = (created_ms IS NULL)
        AND (pod_id IS NULL) = (url IS NULL)
    ),
    CONSTRAINT end_of_the_ended CHECK (
        (ended_ms IS NOT NULL) = (state = 'ended')
        AND (end_reason IS NOT NULL) = (state = 'ended')
    )
) STRICT
;
INSERT INTO "pods" VALUES(1,'captiv-0a1b2c-ended','pod0ended','ended','run',5,0,'NVIDIA RTX A4000','secure',170000,'0.2.0','https://pod0ended-8000.proxy.runpod.net',1796008423742,1795979623742,1795979625742,1795983223742,'terminated');
INSERT INTO "pods" VALUES(2,'captiv-0a1b2c-live','pod0live','live','run',5,0,'NVIDIA RTX A4000','secure',170000,'0.2.0','https://pod0live-8000.proxy.runpod.net',1796008423742,1795979623742,1795979625742,NULL,NULL);
INSERT INTO "pods" VALUES(3,'captiv-0a1b2c-intended',NULL,'intended','run',5,0,'NVIDIA RTX A4000','secure',170000,'0.2.0',NULL,1796008423742,1795979623742,NULL,NULL,NULL);
INSERT INTO "pods" VALUES(4,'mine-captiv-0a1b2c','pod0mine','live','hand',NULL,0,'NVIDIA RTX A4000','secure',170000,'0.2.0','https://pod0mine-8000.proxy.runpod.net',NULL,1795979623742,1795979625742,NULL,NULL);
CREATE TABLE runs (
    id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    fingerprint TEXT NOT NULL,
    state TEXT DEFAULT 'active' NOT NULL,
    priority INTEGER DEFAULT 0 NOT NULL,
    spec TEXT NOT NULL,
    scanned INTEGER DEFAULT 0 NOT NULL,
    created_ms INTEGER NOT NULL,
    finished_ms INTEGER,
    wanted_by INTEGER REFERENCES sessions (id),
    wanted_ms INTEGER,
    pending INTEGER DEFAULT 0 NOT NULL,
    running INTEGER DEFAULT 0 NOT NULL,
    captioned INTEGER DEFAULT 0 NOT NULL,
    done INTEGER DEFAULT 0 NOT NULL,
    failed INTEGER DEFAULT 0 NOT NULL,
    cancelled INTEGER DEFAULT 0 NOT NULL,
    kept INTEGER DEFAULT 0 NOT NULL,
    skipped INTEGER DEFAULT 0 NOT NULL, misses INTEGER NOT NULL DEFAULT 0 CONSTRAINT misses_is_a_count CHECK (misses >= 0),
    CONSTRAINT state_is_known CHECK (state IN ('active', 'finished', 'cancelled')),
    CONSTRAINT scanned_is_a_flag CHECK (scanned IN (0, 1)),
    CONSTRAINT finished_ms_of_the_ended CHECK ((finished_ms IS NULL) = (state = 'active')),
    CONSTRAINT wanted_by_and_when CHECK ((wanted_by IS NULL) = (wanted_ms IS NULL)),
    CONSTRAINT counters_are_counts CHECK (
        min(pending, running, captioned, done, failed, cancelled, kept, skipped) >= 0
    ),
    CONSTRAINT finished_has_nothing_open CHECK (
        state <> 'finished' OR (scanned = 1 AND pending + running + captioned = 0)
    ),
    CONSTRAINT cancelled_has_nothing_pending CHECK (state <> 'cancelled' OR pending = 0)
) STRICT
;
INSERT INTO "runs" VALUES(1,'938466c0cbe79497901c73a29270f4398190e32c7c99d5bcfcf965d70c5529c8','finished',0,'{"selection": {"roots": ["/pictures/edited"], "recursive": true, "overwrite": "no", "limit": null}, "captioning": {"model": "shapes", "variant": "shapes", "source": "builtin:shapes", "mode": "default", "length": null, "prompt": null, "generation": {"max_new_tokens": 24, "min_new_tokens": 0, "num_beams": 1, "temperature": 0.0, "top_k": null, "top_p": null, "repetition_penalty": 1.0, "seed": null}, "dtype": "auto"}, "output": {"save": true, "extension": ".txt", "naming": "stem", "prefix": "", "suffix": ""}, "placement": {"kind": "local", "url": null, "protocol": "captiv", "insecure": false, "device": "auto", "batch_size": null, "gpu_type": null, "max_cost_usd": null, "pods": 1, "terminate": false, "fallback": "local"}, "answers": {"retries": 2, "limited_by_user": false}}',1,1795979597450,1795979599662,NULL,NULL,0,0,0,3,0,0,0,0,0);
INSERT INTO "runs" VALUES(2,'642c0c82fd4ada58ee6804eca34ec57f0ad50da99511e7d91f691a1ef318f320','finished',0,'{"selection": {"roots": ["/pictures/ended"], "recursive": true, "overwrite": "no", "limit": null}, "captioning": {"model": "shapes", "variant": "shapes", "source": "builtin:shapes", "mode": "default", "length": null, "prompt": null, "generation": {"max_new_tokens": 24, "min_new_tokens": 0, "num_beams": 1, "temperature": 0.0, "top_k": null, "top_p": null, "repetition_penalty": 1.0, "seed": null}, "dtype": "auto"}, "output": {"save": true, "extension": ".caption", "naming": "stem", "prefix": "", "suffix": ""}, "placement": {"kind": "local", "url": null, "protocol": "captiv", "insecure": false, "device": "auto", "batch_size": null, "gpu_type": null, "max_cost_usd": null, "pods": 1, "terminate": false, "fallback": "local"}, "answers": {"retries": 2, "limited_by_user": false}}',1,1795979612711,1795979614241,NULL,NULL,0,0,0,2,0,0,0,0,0);
INSERT INTO "runs" VALUES(3,'cd8f834a54fcf63d2829ff9ef52323a9e6d47f52bb2e09c53b8d3772644a12c3','finished',0,'{"selection": {"roots": ["/pictures/ended"], "recursive": true, "overwrite": "all", "limit": null}, "captioning": {"model": "shapes", "variant": "shapes", "source": "builtin:shapes", "mode": "default", "length": null, "prompt": null, "generation": {"max_new_tokens": 24, "min_new_tokens": 0, "num_beams": 1, "temperature": 0.0, "top_k": null, "top_p": null, "repetition_penalty": 1.0, "seed": null}, "dtype": "auto"}, "output": {"save": true, "extension": ".caption", "naming": "stem", "prefix": "q ", "suffix": ""}, "placement": {"kind": "local", "url": null, "protocol": "captiv", "insecure": false, "device": "auto", "batch_size": null, "gpu_type": null, "max_cost_usd": null, "pods": 1, "terminate": false, "fallback": "local"}, "answers": {"retries": 2, "limited_by_user": false}}',1,1795979616936,1795979619255,NULL,NULL,0,0,0,2,0,0,0,0,0);
INSERT INTO "runs" VALUES(4,'a838e23c1011c01d76b671121c402e1128d07d76a55dafb7a77cf8b946addf84','finished',0,'{"selection": {"roots": ["/pictures/ended"], "recursive": true, "overwrite": "yes", "limit": null}, "captioning": {"model": "shapes", "variant": "shapes", "source": "builtin:shapes", "mode": "default", "length": null, "prompt": null, "generation": {"max_new_tokens": 24, "min_new_tokens": 0, "num_beams": 1, "temperature": 0.0, "top_k": null, "top_p": null, "repetition_penalty": 1.0, "seed": null}, "dtype": "auto"}, "output": {"save": true, "extension": ".caption", "naming": "stem", "prefix": "r ", "suffix": ""}, "placement": {"kind": "local", "url": null, "protocol": "captiv", "insecure": false, "device": "auto", "batch_size": null, "gpu_type": null, "max_cost_usd": null, "pods": 1, "terminate": false, "fallback": "local"}, "answers": {"retries": 2, "limited_by_user": false}}',1,1795979623742,1795979624873,NULL,NULL,0,0,0,2,0,0,1,0,0);
INSERT INTO "runs" VALUES(5,'67a03be4a23d5e1a740b80aa609d4029124fa904929f1f8c4d2d393a7c3be650','active',0,'{"selection": {"roots": ["/pictures/rented"], "recursive": false, "overwrite": "no", "limit": null}, "captioning": {"model": "blip", "variant": "blip-large", "source": "Salesforce/blip-image-captioning-large", "mode": "default", "length": null, "prompt": null, "generation": {"max_new_tokens": 64, "min_new_tokens": 0, "num_beams": 3, "temperature": 0.0, "top_k": null, "top_p": null, "repetition_penalty": 1.0, "seed": null}, "dtype": "auto"}, "output": {"save": true, "extension": ".txt", "naming": "stem", "prefix": "", "suffix": ""}, "placement": {"kind": "runpod", "url": null, "protocol": "captiv", "insecure": false, "device": "auto", "batch_size": null, "gpu_type": null, "max_cost_usd": "2.50", "pods": 2, "terminate": false, "fallback": "local"}, "answers": {"retries": 2, "limited_by_user": false}}',1,1795979623742,NULL,NULL,NULL,3,0,0,0,0,0,0,0,0);
INSERT INTO "runs" VALUES(6,'d99074ba814a487660783dd591a66489b2b260a79bc33625cfbe149bb34bb81a','active',0,'{"selection": {"roots": ["/pictures/going"], "recursive": true, "overwrite": "no", "limit": null}, "captioning": {"model": "shapes", "variant": "shapes", "source": "builtin:shapes", "mode": "default", "length": null, "prompt": null, "generation": {"max_new_tokens": 24, "min_new_tokens": 0, "num_beams": 1, "temperature": 0.0, "top_k": null, "top_p": null, "repetition_penalty": 1.0, "seed": null}, "dtype": "auto"}, "output": {"save": true, "extension": ".txt", "naming": "stem", "prefix": "", "suffix": ""}, "placement": {"kind": "local", "url": null, "protocol": "captiv", "insecure": false, "device": "auto", "batch_size": 1, "gpu_type": null, "max_cost_usd": null, "pods": 1, "terminate": false, "fallback": "local"}, "answers": {"retries": 2, "limited_by_user": false}}',1,1795979629438,NULL,5,1795979629466,4,29,1,1,1,0,0,0,0);
CREATE TABLE sessions (
    id INTEGER NOT NULL PRIMARY KEY,
    pid INTEGER NOT NULL,
    host TEXT NOT NULL,
    kind TEXT NOT NULL,
    started_ms INTEGER NOT NULL,
    seen_ms INTEGER NOT NULL,
    ended_ms INTEGER,
    CONSTRAINT kind_is_known CHECK (kind IN ('dispatcher', 'follower'))
) STRICT
;
INSERT INTO "sessions" VALUES(1,15243,'here','dispatcher',1795979597479,1795979599677,1795979599677);
INSERT INTO "sessions" VALUES(2,15433,'here','dispatcher',1795979612730,1795979614247,1795979614247);
INSERT INTO "sessions" VALUES(3,15527,'here','dispatcher',1795979616949,1795979619266,1795979619266);
INSERT INTO "sessions" VALUES(4,15567,'here','dispatcher',1795979623770,1795979624880,1795979624880);
INSERT INTO "sessions" VALUES(5,15616,'here','dispatcher',1795979629459,1795979629499,NULL);
CREATE UNIQUE INDEX runs_active ON runs (fingerprint) WHERE state = 'active';
CREATE INDEX captions_path ON captions (path, id);
CREATE INDEX jobs_run ON jobs (run_id, id);
CREATE INDEX jobs_pending ON jobs (run_id, id) WHERE state = 'pending' AND suspect = 0;
CREATE INDEX jobs_suspect ON jobs (run_id, id) WHERE state = 'pending' AND suspect = 1;
CREATE INDEX jobs_running ON jobs (run_id, id) WHERE state = 'running';
CREATE INDEX jobs_captioned ON jobs (run_id, id) WHERE state = 'captioned';
CREATE INDEX jobs_failed ON jobs (run_id, id) WHERE state = 'failed';
CREATE TRIGGER captions_are_not_changed BEFORE UPDATE ON captions BEGIN SELECT raise(ABORT, 'captions are append-only'); END;
CREATE TRIGGER captions_are_not_deleted BEFORE DELETE ON captions BEGIN SELECT raise(ABORT, 'captions are append-only'); END;
CREATE UNIQUE INDEX pods_pod_id ON pods (pod_id) WHERE pod_id IS NOT NULL;
CREATE INDEX pods_live ON pods (id) WHERE state = 'live';
CREATE INDEX pods_intended ON pods (id) WHERE state = 'intended';
CREATE INDEX pods_run ON pods (run_id, id) WHERE run_id IS NOT NULL;
CREATE UNIQUE INDEX pod_uses_open ON pod_uses (pod_row, run_id) WHERE to_ms IS NULL;
CREATE INDEX pod_uses_run ON pod_uses (run_id, id);
CREATE INDEX edit_changes_edit ON edit_changes (edit_id, id);
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('runs',6);
INSERT INTO "sqlite_sequence" VALUES('jobs',48);
INSERT INTO "sqlite_sequence" VALUES('edits',1);
INSERT INTO "sqlite_sequence" VALUES('pods',4);
COMMIT;
