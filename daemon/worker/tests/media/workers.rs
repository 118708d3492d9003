//! Workers that lie, hang, die or are missing, and the cancelling of good ones.

use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use super::*;

/// Returns a worker that is a shell script.
fn script(folder: &Path, text: &str) -> MediaProcess {
    let path = folder.join("worker.sh");
    std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    MediaProcess::new(path)
}

fn error_of(source: &MediaProcess, folder: &Path) -> MediaError {
    let path = folder.join("film");
    std::fs::write(&path, "a video").unwrap();
    analyse_with(source, &path, &request()).expect_err("this worker is no good")
}

/// Writes a worker's messages to a file, and returns the `cat` command for it.
fn spoken(folder: &Path, write: impl FnOnce(&mut Vec<u8>)) -> String {
    let mut bytes = Vec::new();
    write(&mut bytes);
    let path = folder.join("spoken");
    std::fs::write(&path, bytes).unwrap();
    format!("cat {}", path.display())
}

#[test]
fn a_missing_worker_is_no_fault_of_the_video() {
    let folder = tempfile::tempdir().unwrap();
    let error = error_of(&MediaProcess::new(folder.path().join("nothing")), folder.path());
    assert!(matches!(error, MediaError::Start { .. }), "{error}");
}

#[test]
fn garbage_and_other_versions_break_the_protocol() {
    use scened_common::media::wire;
    use scened_common::pipe::{write_frame, write_hello};
    type Speech<'a> = &'a dyn Fn(&mut Vec<u8>);
    let write_confined = |to: &mut Vec<u8>| {
        write_hello(to, wire::ROLE, wire::VERSION).unwrap();
        let how = "a shell".to_owned();
        write_frame(to, wire::KIND_CONFINED, &wire::Confinement::Sandboxed { how }, &[]).unwrap();
    };
    let folder = tempfile::tempdir().unwrap();
    // In the last two cases the worker was ready. An error before that is no fault of the video.
    let cases: [(&str, Speech<'_>); 7] = [
        ("did not begin with a hello", &|to| to.extend(b"Illegal instruction\n")),
        ("version 99", &|to| write_hello(to, wire::ROLE, 99).unwrap()),
        ("the limit is", &|to| {
            write_hello(to, wire::ROLE, wire::VERSION).unwrap();
            to.extend([0xff; 64]);
        }),
        ("before the report about the sandbox", &|to| {
            write_hello(to, wire::ROLE, wire::VERSION).unwrap();
            write_frame(
                to,
                wire::KIND_FAILED,
                &wire::Failure {
                    reason: String::new(),
                    fault: wire::Fault::Video,
                },
                &[],
            )
            .unwrap();
        }),
        ("without a sandbox, and may not", &|to| {
            write_hello(to, wire::ROLE, wire::VERSION).unwrap();
            let reason = String::new();
            write_frame(to, wire::KIND_CONFINED, &wire::Confinement::Unsandboxed { reason }, &[]).unwrap();
        }),
        ("kind 77", &|to| {
            write_confined(to);
            write_frame(to, 77, &(), &[]).unwrap();
        }),
        ("finished without a scene", &|to| {
            write_confined(to);
            let end = serde_json::json!({"duration_ms": 0, "n_frames": 0, "n_scenes": 0, "damage": null, "times": {
                "open_ms": 0, "decode_ms": 0, "scale_ms": 0, "detect_ms": 0, "sample_ms": 0, "thumbnail_ms": 0, "total_ms": 0}});
            write_frame(to, wire::KIND_FINISHED, &end, &[]).unwrap();
        }),
    ];
    for (index, (expected, write)) in cases.into_iter().enumerate() {
        let command = spoken(folder.path(), write);
        let error = error_of(&script(folder.path(), &command), folder.path());
        let is_right = match error {
            MediaError::NotReady { .. } => index < 5,
            MediaError::Protocol { .. } => index >= 5,
            _ => false,
        };
        assert!(is_right, "{expected}: {error:?}");
        assert!(error.to_string().contains(expected), "{error} does not say {expected:?}");
    }
}

#[test]
fn a_worker_that_dies_leaves_its_last_words() {
    let folder = tempfile::tempdir().unwrap();
    let error = error_of(&script(folder.path(), "echo 'something broke' >&2; exit 7"), folder.path());
    let text = error.to_string();
    assert!(text.contains("exit status 7") && text.contains("something broke"), "{text}");
    let error = error_of(&script(folder.path(), "kill -SEGV $$"), folder.path());
    assert!(error.to_string().contains("SIGSEGV"), "{error}");
}

#[test]
fn a_silent_worker_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let source = script(folder.path(), "exec sleep 600").with_silence(Duration::from_millis(300));
    let started = Instant::now();
    let error = error_of(&source, folder.path());
    assert!(
        matches!(&error, MediaError::NotReady { detail } if detail.contains("no progress")),
        "{error}"
    );
    assert!(started.elapsed() < Duration::from_secs(30), "{:?}", started.elapsed());
}

#[test]
fn only_a_worker_that_was_ready_lays_its_end_to_the_video() {
    let folder = tempfile::tempdir().unwrap();
    let ready = spoken(folder.path(), honest);
    for (end, expected) in [
        // The loader ends a program like this if a library is empty or missing.
        ("echo 'error while loading shared libraries' >&2; exit 127", "not ready"),
        ("kill -SEGV $$", "not ready"),
        ("kill -KILL $$", "not ready"),
        ("exit 0", "not ready"),
    ] {
        let error = error_of(&script(folder.path(), end), folder.path());
        assert!(matches!(error, MediaError::NotReady { .. }), "{expected}: {end}: {error:?}");
    }
    for (end, is_from_outside) in [
        ("kill -SEGV $$", false),
        ("kill -BUS $$", false),
        ("kill -ABRT $$", false),
        ("kill -SYS $$", false),
        ("exit 101", false),
        ("kill -KILL $$", true),
        ("kill -TERM $$", true),
        ("kill -HUP $$", true),
    ] {
        let error = error_of(&script(folder.path(), &format!("{ready}; {end}")), folder.path());
        let is_right = match error {
            MediaError::Killed { .. } => is_from_outside,
            MediaError::WorkerDied { .. } => !is_from_outside,
            _ => false,
        };
        assert!(is_right, "{end}: {error:?}");
    }
}

#[test]
fn a_worker_is_proved_by_a_video_that_is_known_to_be_good() {
    assert_eq!(worker().prove(2), Ok(()));
    let folder = tempfile::tempdir().unwrap();
    let broken = script(folder.path(), "exit 127");
    assert!(matches!(broken.prove(2), Err(MediaError::NotReady { .. })));
}

/// The limit applies to this worker alone, as an administrator's limit applies to a daemon's workers.
#[test]
fn a_decoder_that_gets_no_thread_is_the_machines_fault() {
    let folder = tempfile::tempdir().unwrap();
    let video = video(folder.path(), "film.mp4", &format!("{RED_BLUE} -c:v libx264"));
    // Nobody else has processes under this uid, so the limit affects only this worker. Root would not be limited.
    let text = format!(
        "exec setpriv --reuid 54321 --clear-groups prlimit --nproc=1 {} \"$@\"",
        env!("CARGO_BIN_EXE_scened-worker")
    );
    let source = script(folder.path(), &text);
    match analyse_with(&source, &video, &AnalyseRequest { threads: 4, ..request() }) {
        Err(MediaError::Short { .. }) => {}
        Err(error @ MediaError::NotReady { .. }) => eprintln!("a limit on threads: NOT TESTED HERE: {error}"),
        other => panic!("the limit is laid to the video: {other:?}"),
    }
}

#[test]
fn an_analysis_is_cancelled_at_once_and_leaves_no_process() {
    let folder = tempfile::tempdir().unwrap();
    let path = video(
        folder.path(),
        "long.mp4",
        "-f lavfi -i testsrc2=s=640x360:r=25:d=60 -pix_fmt yuv420p -c:v libx264 -preset ultrafast",
    );
    let cancel = Cancel::default();
    let mut cancelled_at = None;
    let ended = worker().analyse(File::open(&path).unwrap(), &request(), &cancel, &mut |event| {
        if matches!(event, MediaEvent::Progressed { .. }) && cancelled_at.is_none() {
            cancel.cancel();
            cancelled_at = Some(Instant::now());
        }
        ControlFlow::Continue(())
    });
    assert_eq!(ended, Err(MediaError::Cancelled));
    let took = cancelled_at.expect("a minute of video has progress").elapsed();
    // The promise is a tenth of a second; a loaded test machine gets a second.
    assert!(took < Duration::from_secs(1), "{took:?}");
    assert_eq!(children_with_video(&path), 0);

    let mut n_events = 0;
    let ended = worker().analyse(File::open(&path).unwrap(), &request(), &Cancel::default(), &mut |_| {
        n_events += 1;
        ControlFlow::Break(())
    });
    assert_eq!((ended, n_events), (Err(MediaError::Cancelled), 1));
    assert_eq!(children_with_video(&path), 0);
}

/// Returns how many processes have this video open as descriptor 3.
fn children_with_video(path: &Path) -> usize {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    processes
        .filter(|process| std::fs::read_link(process.path().join("fd/3")).is_ok_and(|video| video == path))
        .count()
}

#[test]
fn requests_out_of_bounds_are_refused_before_a_process_starts() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("film");
    std::fs::write(&path, "").unwrap();
    let huge = AnalyseRequest {
        image: square(100_000),
        ..request()
    };
    let error = analyse_with(&MediaProcess::new(folder.path().join("nothing")), &path, &huge).unwrap_err();
    assert!(error.to_string().contains("100000 px"), "{error}");
}

/// Writes an honest worker's messages up to the first scene; lies follow.
fn honest(to: &mut Vec<u8>) {
    use scened_common::media::wire;
    use scened_common::pipe::{write_frame, write_hello};
    write_hello(to, wire::ROLE, wire::VERSION).unwrap();
    let how = "a shell".to_owned();
    write_frame(to, wire::KIND_CONFINED, &wire::Confinement::Sandboxed { how }, &[]).unwrap();
    let probe = serde_json::json!({"container": "mov", "duration_ms": 1000, "streams": []});
    write_frame(to, wire::KIND_PROBED, &probe, &[]).unwrap();
}

/// Writes a scene of one second at `start_ms` with frames at these times, this body, and this claimed size of the thumbnail.
fn scene(to: &mut Vec<u8>, start_ms: u64, boundary: &str, frames_ms: &[u64], body: &[u8], thumbnail_bytes: u64) {
    let header = serde_json::json!({
        "span": {"start_ms": start_ms, "end_ms": start_ms + 1000}, "boundary": boundary, "frames_ms": frames_ms,
        "thumbnail_bytes": thumbnail_bytes, "keyframes": [],
    });
    scened_common::pipe::write_frame(to, scened_common::media::wire::KIND_SCENE, &header, body).unwrap();
}

fn raw(to: &mut Vec<u8>, kind: u8, header: &[u8], body: &[u8]) {
    to.extend(((5 + header.len() + body.len()) as u32).to_le_bytes());
    to.push(kind);
    to.extend((header.len() as u32).to_le_bytes());
    to.extend_from_slice(header);
    to.extend_from_slice(body);
}

#[test]
fn every_lie_of_a_worker_is_laid_to_it() {
    use scened_common::media::wire::{KIND_FINISHED, KIND_PICTURE_FOUND, KIND_PROGRESSED, KIND_SCENE};
    type Lie<'a> = (&'a str, &'a dyn Fn(&mut Vec<u8>));
    let folder = tempfile::tempdir().unwrap();
    let frame = vec![7; 64 * 64 * 3];
    let deep = [vec![b'['; 200_000], vec![b']'; 200_000]].concat();
    let far = u64::MAX - 1000;
    let lies: [Lie<'_>; 16] = [
        ("a scene that begins late", &|to| scene(to, 5, "start", &[5], &frame, 0)),
        ("a scene that begins in the past", &|to| {
            scene(to, 0, "start", &[0], &frame, 0);
            scene(to, 0, "cut", &[0], &frame, 0);
        }),
        ("times without end", &|to| scene(to, far, "start", &[far], &frame, 0)),
        ("frames of another scene", &|to| scene(to, 0, "start", &[2000], &frame, 0)),
        ("frames without pictures", &|to| scene(to, 0, "start", &[0, 1, 2], &frame, 0)),
        ("more frames than there can be", &|to| scene(to, 0, "start", &[0; 500], &frame, 0)),
        ("a thumbnail that is none", &|to| {
            scene(to, 0, "start", &[0], &[&frame[..], b"GIF89a"].concat(), 6);
        }),
        ("a thumbnail longer than everything", &|to| {
            scene(to, 0, "start", &[0], &frame, u64::MAX);
        }),
        ("a boundary that is none", &|to| scene(to, 0, "sideways", &[0], &frame, 0)),
        ("JSON without an end", &|to| raw(to, KIND_SCENE, &deep, &frame)),
        ("no UTF-8", &|to| raw(to, KIND_SCENE, &[b'"', 0xff, 0xfe, b'"'], &frame)),
        ("numbers that are none", &|to| {
            raw(to, KIND_PROGRESSED, b"{\"position_ms\": -1e999}", &[]);
        }),
        ("an answer to another question", &|to| {
            raw(to, KIND_PICTURE_FOUND, b"{\"time_ms\": 0}", &frame);
        }),
        ("an end without scenes", &|to| raw(to, KIND_FINISHED, b"{\"n_scenes\": 1}", &[])),
        ("a frame larger than any", &|to| to.extend(u32::MAX.to_le_bytes())),
        ("a header larger than its frame", &|to| {
            to.extend([9, 0, 0, 0, KIND_SCENE, 0xff, 0xff, 0, 0, 1, 2, 3, 4]);
        }),
    ];
    for (name, lie) in lies {
        let command = spoken(folder.path(), |to| {
            honest(to);
            lie(to);
        });
        let error = error_of(&script(folder.path(), &command), folder.path());
        assert!(matches!(error, MediaError::Protocol { .. }), "{name}: {error}");
    }
}

#[test]
fn a_worker_that_talks_without_end_and_gets_nowhere_is_ended() {
    let folder = tempfile::tempdir().unwrap();
    let start = spoken(folder.path(), honest);
    let mut progress = Vec::new();
    raw(
        &mut progress,
        scened_common::media::wire::KIND_PROGRESSED,
        b"{\"position_ms\": 7}",
        &[],
    );
    let again = folder.path().join("again");
    std::fs::write(&again, progress).unwrap();
    // It never stops and is never silent.
    let text = format!("{start}\nwhile :; do cat {}; done", again.display());
    let source = script(folder.path(), &text).with_silence(Duration::from_millis(200));
    let error = error_of(&source, folder.path());
    assert!(matches!(error, MediaError::TimedOut { .. }), "{error}");
}

#[test]
fn an_answer_that_never_ends_is_ended() {
    let folder = tempfile::tempdir().unwrap();
    // A frame of 60 MB that arrives a byte at a time.
    let start = spoken(folder.path(), |to| {
        honest(to);
        to.extend((60_u32 << 20).to_le_bytes());
        to.extend([scened_common::media::wire::KIND_SCENE, 2, 0, 0, 0]);
    });
    let source =
        script(folder.path(), &format!("{start}\nwhile :; do printf .; sleep 0.02; done")).with_silence(Duration::from_millis(300));
    let error = error_of(&source, folder.path());
    assert!(matches!(error, MediaError::TimedOut { .. }), "{error}");
}
