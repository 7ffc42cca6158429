BEGIN TRANSACTION;
CREATE TABLE accounts (
	account VARCHAR(200) NOT NULL, 
	cool_until FLOAT NOT NULL, 
	stopped_at FLOAT, 
	stopped_why TEXT, 
	PRIMARY KEY (account)
);
CREATE TABLE retakes (
	id INTEGER NOT NULL, 
	storyboard VARCHAR(64) NOT NULL, 
	scene VARCHAR(64) NOT NULL, 
	"key" VARCHAR(64) NOT NULL, 
	wanted INTEGER NOT NULL, 
	PRIMARY KEY (id)
);
CREATE TABLE storyreel_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT storyreel_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "storyreel_version" VALUES('0002');
CREATE TABLE takes (
	id INTEGER NOT NULL, 
	storyboard VARCHAR(64) NOT NULL, 
	scene VARCHAR(64) NOT NULL, 
	take INTEGER NOT NULL, 
	"key" VARCHAR(64) NOT NULL, 
	ordinal INTEGER NOT NULL, 
	state VARCHAR(16) NOT NULL, 
	superseded BOOLEAN NOT NULL, 
	account VARCHAR(200) NOT NULL, 
	run_id VARCHAR(64) NOT NULL, 
	request TEXT NOT NULL, 
	inputs TEXT NOT NULL, 
	price VARCHAR(32), 
	currency VARCHAR(3), 
	submissions INTEGER NOT NULL, 
	created_at FLOAT NOT NULL, 
	submitted_at FLOAT, 
	completed_at FLOAT, 
	collected_at FLOAT, 
	expires_at FLOAT, 
	polls INTEGER NOT NULL, 
	job_id VARCHAR(256), 
	error_class VARCHAR(32), 
	error_code VARCHAR(128), 
	error_message TEXT, 
	clip TEXT, model VARCHAR(64), seconds INTEGER, 
	PRIMARY KEY (id), 
	UNIQUE (storyboard, scene, take), 
	UNIQUE (storyboard, scene, "key", ordinal)
);
INSERT INTO "takes" VALUES(1,'film','free',1,'d5339cd650c51d596c3f1ac7b6a5a54eb58b76e1920bfa72732b24997d7f1356',1,'collected',0,'8dbc4d6b721d8a996008','c26e4c5afd68','{"model": "kling-video-o1", "prompt": "free", "seconds": "5", "size": "720x720", "mode": "pro"}','{}','4.00','CNY',1,1.79557247791287708286e+09,1.79557247809383797648e+09,1795572478.0,1.79557249730797696112e+09,1796177278.0,1,'qvideo-sim-17955724780749324800000',NULL,NULL,NULL,'{"path": "clips/free/take-1.mp4", "sha256": "d3ff5c214461af5c69edfee6471aabf0d05aa7633557a31d2656a52f8deaeb00", "bytes": 21, "mtime_ns": 0, "width": 1080, "height": 1080, "fps": 24.0, "frames": 120, "duration_s": 5.0, "has_audio": false, "codec": "h264", "colour_assumed": false, "suspect": false, "concerns": []}','kling-video-o1',5);
INSERT INTO "takes" VALUES(2,'film','open',1,'45ea8a6c63aeaeaa9a1144bbd995f4f4fb046b71dc235cadb6db3d2f67a4292c',1,'collected',0,'8dbc4d6b721d8a996008','c26e4c5afd68','{"model": "kling-v2-1", "prompt": "opens", "input_reference": "keyframe dawn", "seconds": "5", "size": "720x720", "mode": "std"}','{"first_frame": {"from": "keyframe dawn", "id": "sha256:e56b6498ab9a3a1fd3f9c5ff1fc9b05135ad3cbc2d78a7c330903b8ec712845b", "sha256": "e56b6498ab9a3a1fd3f9c5ff1fc9b05135ad3cbc2d78a7c330903b8ec712845b"}}','2.00','CNY',1,1.79557247804915905003e+09,1.79557247920877099036e+09,1795572479.0,1.79557249631561398504e+09,1796177279.0,1,'qvideo-sim-17955724791909076480001',NULL,NULL,NULL,'{"path": "clips/open/take-1.mp4", "sha256": "ef5a8a3af3b31d16e391b723b0180fe95eedde6eb911d960673b8026a644ee09", "bytes": 21, "mtime_ns": 0, "width": 720, "height": 720, "fps": 24.0, "frames": 120, "duration_s": 5.0, "has_audio": false, "codec": "h264", "colour_assumed": false, "suspect": false, "concerns": []}','kling-v2-1',5);
INSERT INTO "takes" VALUES(3,'film','open',2,'45ea8a6c63aeaeaa9a1144bbd995f4f4fb046b71dc235cadb6db3d2f67a4292c',2,'collected',0,'8dbc4d6b721d8a996008','c26e4c5afd68','{"model": "kling-v2-1", "prompt": "opens", "input_reference": "keyframe dawn", "seconds": "5", "size": "720x720", "mode": "std"}','{"first_frame": {"from": "keyframe dawn", "id": "sha256:e56b6498ab9a3a1fd3f9c5ff1fc9b05135ad3cbc2d78a7c330903b8ec712845b", "sha256": "e56b6498ab9a3a1fd3f9c5ff1fc9b05135ad3cbc2d78a7c330903b8ec712845b"}}','2.00','CNY',1,1795572478.05219,1.79557247936171603206e+09,1795572479.0,1.7955724971606910229e+09,1796177279.0,1,'qvideo-sim-17955724792416857600002',NULL,NULL,NULL,'{"path": "clips/open/take-2.mp4", "sha256": "4da766dadd1a71f4b4a34ef2be9019f1e2eaa7aa3ea22fd839616c94724cca5a", "bytes": 21, "mtime_ns": 0, "width": 720, "height": 720, "fps": 24.0, "frames": 120, "duration_s": 5.0, "has_audio": false, "codec": "h264", "colour_assumed": false, "suspect": false, "concerns": []}','kling-v2-1',5);
INSERT INTO "takes" VALUES(4,'film','next',1,'96313e312fb3d9644ccd3568c2ba6a542e6b2819d0553589b89fad5d8879af0e',1,'collected',0,'8dbc4d6b721d8a996008','c26e4c5afd68','{"model": "kling-v2-1", "prompt": "goes on", "input_reference": "last frame of open", "seconds": "5", "size": "720x720", "mode": "std"}','{"first_frame": {"from": "last frame of open", "id": "frame:last:0:45ea8a6c63aeaeaa9a1144bbd995f4f4fb046b71dc235cadb6db3d2f67a4292c#2", "sha256": "a14d65c6774349f15a6d5e5adbd27b94974c2b357043c196d8d98130cf5f4f05"}}','2.00','CNY',1,1.79557249717711091036e+09,1.79557249725987601272e+09,1795572497.0,1.795572500768018961e+09,1796177297.0,2,'qvideo-sim-17955724972418250240003',NULL,NULL,NULL,'{"path": "clips/next/take-1.mp4", "sha256": "01c26b248009d47ec70235623007601712af85b891f33568baf455e6bff33e39", "bytes": 21, "mtime_ns": 0, "width": 720, "height": 720, "fps": 24.0, "frames": 120, "duration_s": 5.0, "has_audio": false, "codec": "h264", "colour_assumed": false, "suspect": false, "concerns": []}','kling-v2-1',5);
CREATE INDEX takes_by_account ON takes (account, state);
CREATE INDEX takes_by_key ON takes (storyboard, "key");
CREATE INDEX takes_by_duration ON takes (account, model, seconds, completed_at);
COMMIT;
