//! kill -9, of the daemon and of its workers, while they work.

use std::time::Duration;

use testkit::{Sandbox, films, pause, processes};

use crate::{LONG, answer, assert_same_answers, worker};

const QUERIES: [&str; 3] = ["a red background", "a blue background", "a yellow background"];

/// Pseudorandom numbers that a failing run can be repeated with: SCENED_TEST_SEED.
struct Moments(u64);

impl Moments {
    fn from_environment() -> Self {
        let given = std::env::var("SCENED_TEST_SEED").ok().and_then(|text| text.parse().ok());
        let seed = given.unwrap_or_else(|| u64::from(std::process::id()));
        eprintln!("SCENED_TEST_SEED={seed}");
        Self(seed.wrapping_mul(2).wrapping_add(1))
    }

    /// Below `limit`. **Source**: Steele and Vigna, 2021: a multiplier for 64-bit linear congruential generators.
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(0xd134_2543_de82_ef95).wrapping_add(1);
        (self.0 >> 33) % limit
    }
}

/// The films at the end; each round of killing brings one of them, or the final version of one.
const FILMS: [(&str, &[(&str, f64)]); 6] = [
    ("a.mp4", &[("red", 1.0), ("blue", 1.2)]),
    ("b.mp4", &[("green", 1.4)]),
    ("c.mp4", &[("white", 1.0), ("red", 1.0), ("green", 1.0)]),
    ("d.mp4", &[("blue", 2.0)]),
    ("e.mp4", &[("white", 1.0), ("yellow", 1.0)]),
    ("f.mp4", &[("black", 1.0), ("red", 1.6)]),
];

fn kill_at_random_moments(n_kills: u64) {
    let undisturbed = Sandbox::new();
    let sandbox = Sandbox::new();
    for (name, parts) in FILMS {
        undisturbed.film(name, parts);
    }
    let daemon = undisturbed.start();
    undisturbed.settle();
    let expected = QUERIES.map(|query| answer(&undisturbed, query));
    assert!(daemon.stop().success());

    let mut moments = Moments::from_environment();
    let mut n_versions = 0;
    for n_killed in 0..n_kills {
        // A version of a film that is not its last one, so that there is something to index at every kill.
        let (name, _) = FILMS[moments.below(FILMS.len() as u64) as usize];
        n_versions += 1;
        sandbox.film(name, &[("red", 1.0 + 0.04 * f64::from(n_versions)), ("green", 1.0)]);
        let daemon = sandbox.launch();
        // The moment of the kill is the point: from before the store is open to after the last commit.
        pause(Duration::from_millis(moments.below(2_500)));
        daemon.kill();
        if n_killed % 5 == 4 {
            let daemon = sandbox.start();
            sandbox.settle();
            let n_films = std::fs::read_dir(sandbox.films()).unwrap().count() as u64;
            assert_eq!(
                sandbox.counts(),
                [n_films, 0, 0, 0],
                "after {} kills\n{}",
                n_killed + 1,
                sandbox.log_tail()
            );
            daemon.kill();
        }
    }
    for (name, parts) in FILMS {
        sandbox.film(name, parts);
    }
    let _daemon = sandbox.start();
    sandbox.settle();
    assert_eq!(sandbox.counts(), [FILMS.len() as u64, 0, 0, 0], "{}", sandbox.log_tail());
    let n_scenes: usize = FILMS.iter().map(|(_, parts)| parts.len()).sum();
    assert_eq!(sandbox.ctl_json(["status"])["scenes"], n_scenes, "each is indexed once");
    let warnings = sandbox.ctl_json(["status"])["warnings"].to_string();
    assert_eq!(warnings, "[]", "nothing was damaged");
    for (query, expected) in QUERIES.iter().zip(&expected) {
        assert_same_answers(&answer(&sandbox, query), expected, &sandbox.log_tail());
    }
    let doctor = sandbox.ctl_json(["doctor"]);
    for check in doctor["checks"].as_array().unwrap() {
        assert_ne!(check["state"], "fail", "{check}");
    }
    eprintln!(
        "kill -9 at {n_kills} random moments: {} films, {n_scenes} scenes, the same answers",
        FILMS.len()
    );
}

#[test]
fn kills_at_random_moments_lose_and_double_nothing() {
    eprintln!("5 kills; 20 of them: make check-long");
    kill_at_random_moments(5);
}

#[test]
#[ignore = "takes a minute or two: make check-long"]
fn twenty_kills_at_random_moments_lose_and_double_nothing() {
    kill_at_random_moments(20);
}

#[test]
fn a_worker_that_is_killed_is_replaced_and_its_film_indexed() {
    for role in ["embed", "media"] {
        let sandbox = Sandbox::new();
        let mut daemon = sandbox.start();
        sandbox.film("long.mp4", LONG);
        let media = worker(daemon.pid(), "media", &sandbox);
        let victim = if role == "media" {
            media
        } else {
            worker(daemon.pid(), "embed", &sandbox)
        };
        assert!(processes::signal(victim, "KILL"), "{role} had ended already: the film is too short");
        sandbox.settle();
        assert!(daemon.is_alive());
        assert_eq!(
            sandbox.counts(),
            [1, 0, 0, 0],
            "{role}: {}\n{}",
            sandbox.say("incidents").stdout,
            sandbox.log_tail()
        );
        sandbox.run(["search", "red"]).expect(0).says("long.mp4");
    }
}

#[test]
fn a_film_that_kills_its_worker_every_time_becomes_an_incident() {
    let sandbox = Sandbox::new();
    // Stands for a decoder that crashes: every media worker dies, and embedding works.
    let worker = sandbox.path().join("crashing-worker");
    let real = testkit::program("scened-worker");
    std::fs::write(
        &worker,
        format!(
            "#!/bin/sh\ncase \"$1\" in media) kill -SEGV $$ ;; *) exec '{}' \"$@\" ;; esac\n",
            real.display()
        ),
    )
    .unwrap();
    std::fs::set_permissions(&worker, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    films::colours(&sandbox.films().join("hostile.mp4"), &[("red", 1.0)]);
    let mut command = sandbox.command("scened");
    command.env("SCENED_WORKER", &worker);
    let mut daemon = sandbox.launch_as(command);
    daemon.wait_until_ready();
    sandbox.settle();
    assert!(daemon.is_alive());
    assert_eq!(sandbox.counts(), [0, 0, 1, 0], "{}", sandbox.log_tail());
    sandbox
        .say("incidents")
        .expect(0)
        .says("SIGSEGV")
        .says("tried 3 times")
        .says("scenectl retry");
}
