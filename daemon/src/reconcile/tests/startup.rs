//! A start over many unchanged files.

use super::*;

const N_FOLDERS: usize = 1000;
const N_FILES: usize = 100;

#[test]
#[ignore = "100,000 files: make check-long"]
fn a_start_over_unchanged_files_reads_none_of_them() {
    let mut world = World::idle(&["a"]);
    let mut new = Vec::new();
    for folder in 0..N_FOLDERS {
        let folder = world.path(format!("a/{folder}"));
        std::fs::create_dir(&folder).unwrap();
        for file in 0..N_FILES {
            let path = folder.join(format!("{file}.mp4"));
            std::fs::File::create(&path).unwrap().set_len(1 + new.len() as u64).unwrap();
            let metadata = path.metadata().unwrap();
            new.push(NewVideo {
                path,
                stamp: fingerprint::stamp_of(&metadata),
                fingerprint: Fingerprint((new.len() as u128).to_be_bytes()),
                on_root_device: true,
            });
        }
    }
    for batch in new.chunks(1000) {
        world.store.add_videos(batch.to_vec(), 0).unwrap();
    }
    let generation = world.store.generation();
    let since = Instant::now();
    world.start();
    // Reading a file changes the store, whose fingerprint of it is a different one. The queue shows how many files are being read.
    let mut n_settling = 0;
    while !world.handle().queue().is_empty() {
        n_settling = n_settling.max(world.handle().queue().settling);
        std::thread::park_timeout(Duration::from_millis(1));
    }
    let took = since.elapsed();
    let memory = std::fs::read_to_string("/proc/self/status").unwrap();
    let peak = memory.lines().find(|line| line.starts_with("VmHWM")).unwrap_or_default().to_owned();
    eprintln!("{} unchanged files: nothing pending after {took:?}; {peak}", N_FOLDERS * N_FILES);
    // Hints are counted as well, and another process may mount something meanwhile.
    assert!(n_settling < N_FILES as u64, "{n_settling} files were taken for changed ones");
    assert_eq!(world.store.generation(), generation, "something was written");
    assert_eq!(world.handle().roots()[0].state, RootState::Watched);
}

#[test]
fn who_asks_first_is_told_of_the_folders_as_they_are() {
    for _ in 0..10 {
        let mut world = World::idle(&["a", "b"]);
        std::fs::remove_dir(world.path("b")).unwrap();
        world.start();
        let states: Vec<RootState> = world.handle().roots().iter().map(|root| root.state).collect();
        assert_eq!(states, [RootState::Watched, RootState::Offline]);
    }
}
