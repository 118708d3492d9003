//! With the real daemon and the model that ships with it.

use std::fs;
use std::time::{Duration, Instant};

use testkit::{Sandbox, processes, wait_until};
use zbus::connection;

use crate::SOON;
use crate::world::{Bus, NAME, is_possible, lay_out, texts};

const PROVIDER: &str = "/org/scened/Desktop/SearchProvider";

/// Starts a daemon with two videos, whose model sleeps after a second, and a bus that starts `scened-desktop` for it.
fn session(sandbox: &Sandbox) -> Bus {
    lay_out(sandbox.path(), "");
    sandbox.configure("model-idle-seconds = 1");
    sandbox.video("summer/a red & green one.mp4", &[("red", 1.0), ("green", 1.4)]);
    sandbox.video("b.mp4", &[("blue", 2.0)]);
    Bus::start(&sandbox.path().join("services"), |command| {
        for (key, value) in sandbox.command("scened").get_envs() {
            match value {
                Some(value) => command.env(key, value),
                None => command.env_remove(key),
            };
        }
        command.env("RECORDS", sandbox.path().join("records"));
    })
}

fn ask(bus: &Bus, terms: &[&str]) -> String {
    let method = "org.gnome.Shell.SearchProvider2.GetInitialResultSet";
    bus.call(NAME, PROVIDER, method, &[texts(terms)]).expect(0).stdout
}

#[test]
fn a_question_wakes_the_model_and_its_scenes_are_shown_with_pictures() {
    if !is_possible() {
        return;
    }
    let sandbox = Sandbox::new();
    let bus = session(&sandbox);
    let daemon = sandbox.start();
    sandbox.settle();
    wait_until("the workers to end", SOON, || match processes::children(daemon.pid()) {
        workers if workers.is_empty() => Ok(()),
        workers => Err(format!("{workers:?}")),
    });
    let said = wait_until("results", SOON, || {
        let said = ask(&bus, &["green", "background"]);
        if said.contains("[]") { Err(said) } else { Ok(said) }
    });
    // (['["…","green background"]', …],)
    let first = said.split('\'').nth(1).unwrap_or_else(|| panic!("{said}"));
    let method = "org.gnome.Shell.SearchProvider2.GetResultMetas";
    let metas = bus.call(NAME, PROVIDER, method, &[texts(&[first])]).expect(0);
    let metas = metas.says("'name': <'a red & green one.mp4'>").says(" · ~/films/summer'>");
    // Green: a high second byte, low others.
    let pixel = metas.stdout.split("[byte ").nth(1).unwrap_or_else(|| panic!("{metas:.500?}"));
    let bytes: Vec<u8> = pixel
        .split(", ")
        .take(3)
        .map(|byte| u8::from_str_radix(byte.trim_start_matches("0x"), 16).unwrap())
        .collect();
    assert!(bytes[1] > 80 && bytes[0] < 60 && bytes[2] < 60, "{bytes:?}");
}

/// Measures key press to answer, seen on the bus: `cargo test -p scened-desktop --test session measure -- --ignored --nocapture`.
#[test]
#[ignore = "measures, and asserts nothing"]
fn measure() {
    if !is_possible() {
        return;
    }
    let sandbox = Sandbox::new();
    let bus = session(&sandbox);
    sandbox.video("c.mp4", &[("red", 1.6)]);
    sandbox.video("d.mp4", &[("red", 2.2)]);
    let daemon = sandbox.start();
    sandbox.settle();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let connection = connection::Builder::address(bus.address.as_str()).build().await.unwrap();
        let call = async |method: &str, terms: Vec<String>| -> (Duration, usize, Vec<String>) {
            let began = Instant::now();
            let interface = Some("org.gnome.Shell.SearchProvider2");
            let reply = connection
                .call_method(Some(NAME), PROVIDER, interface, method, &(terms,))
                .await
                .unwrap();
            let took = began.elapsed();
            let ids: Vec<String> = reply.body().deserialize().unwrap_or_default();
            (took, ids.len(), ids)
        };
        let initial = async |words: String| call("GetInitialResultSet", vec![words]).await;
        // Activation and the first connection are not measured.
        initial("warm up".to_owned()).await;
        // A different text each time: the model has not embedded it yet, and is as confident about it.
        let mut n_spaces = 0;
        let mut query = || {
            n_spaces += 1;
            format!("a red{}background", " ".repeat(n_spaces))
        };

        let mut asleep = Vec::new();
        let mut woken = Vec::new();
        for _ in 0..20 {
            wait_until("the workers to end", SOON, || {
                if processes::children(daemon.pid()).is_empty() {
                    Ok(())
                } else {
                    Err("there are some".to_owned())
                }
            });
            let began = Instant::now();
            loop {
                let (took, n_found, _) = initial(query()).await;
                asleep.push(took);
                if n_found > 0 {
                    woken.push(began.elapsed());
                    break;
                }
                // A user types five letters a second.
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        }
        report("asleep, key press to answer (empty ones too)", &mut asleep);
        report("asleep, first key press to first results", &mut woken);

        let (mut warm, mut described, mut n_empty) = (Vec::new(), Vec::new(), 0);
        for _ in 0..500 {
            let (took, n_found, ids) = initial(query()).await;
            warm.push(took);
            n_empty += usize::from(n_found == 0);
            let (more, ..) = call("GetResultMetas", ids.into_iter().take(3).collect()).await;
            described.push(took + more);
        }
        report("warm, key press to answer", &mut warm);
        report("warm, key press to answer and three descriptions with pictures", &mut described);
        eprintln!("warm, answers that were empty: {n_empty} of 500");

        let reply = connection
            .call_method(
                Some("org.freedesktop.DBus"),
                "/org/freedesktop/DBus",
                Some("org.freedesktop.DBus"),
                "GetConnectionUnixProcessID",
                &(NAME,),
            )
            .await
            .unwrap();
        let pid: u32 = reply.body().deserialize().unwrap();
        let memory = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap();
        for line in memory
            .lines()
            .filter(|line| line.starts_with("Rss:") || line.starts_with("Pss:") || line.starts_with("Private_Dirty:"))
        {
            eprintln!("memory of scened-desktop: {line}");
        }
    });
}

fn report(what: &str, times: &mut [Duration]) {
    times.sort();
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize];
    eprintln!(
        "{what}: p50 {:?}, p99 {:?}, longest {:?} ({} times)",
        at(0.5),
        at(0.99),
        at(1.0),
        times.len()
    );
}
