//! Runs a target without libFuzzer, on a stable compiler.
//!
//! - `mutate seeds`: makes seeds, in `corpus/TARGET/`
//! - `mutate TARGET MINUTES`: changes seeds and hands them to the target
//! - `mutate TARGET =NUMBER`: the input of that number, written to `input`
//! - `mutate TARGET FILE…`: these inputs
//!
//! The inputs run in a process of their own; where it ends or does not go on, the number is told and the next process goes on behind it.

use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};
use ubpfc_fuzz::limits::{Counted, PATIENCE, within};
use ubpfc_fuzz::mutate::input;
use ubpfc_fuzz::{Fuzz, TARGETS, seeds};

#[global_allocator]
static COUNTED: Counted = Counted;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    let (name, how, files) = match *args.as_slice() {
        ["seeds"] => return seeds::write(&corpus),
        [name, how, ref files @ ..] => (name, how, files),
        _ => return usage(),
    };
    let Some(target) = TARGETS.iter().find(|target| target.name == name) else { return usage() };
    let seeds = || seeds::read(&corpus.join(name));
    if let Some(number) = how.strip_prefix('=') {
        let input = input(&seeds(), target.pair, number.parse().expect("a number"));
        std::fs::write("input", &input).expect("the input can be written");
        one(target, "input", &input);
    } else if let Some((first, progress)) =
        how.strip_prefix('@').and_then(|how| how.split_once(':'))
    {
        work(target, &seeds(), first.parse().expect("a number"), progress);
    } else if let Ok(minutes) = how.parse() {
        return watch(target, minutes);
    } else {
        for file in [how].iter().chain(files) {
            one(target, file, &std::fs::read(file).expect("the file can be read"));
        }
    }
    ExitCode::SUCCESS
}

fn usage() -> ExitCode {
    let names: Vec<&str> = TARGETS.iter().map(|target| target.name).collect();
    eprintln!("usage: mutate seeds\n       mutate {} MINUTES|=NUMBER|FILE…", names.join("|"));
    ExitCode::FAILURE
}

/// Runs one input, and says what it cost.
fn one(target: &Fuzz, name: &str, input: &[u8]) {
    let start = Instant::now();
    let most = within(target.run, input);
    let took = start.elapsed();
    println!("{name}: {} bytes, {took:?}, {most} bytes allocated", input.len());
    assert!(took < PATIENCE, "it took too long");
}

/// Runs one input after the other, and says in a file which.
fn work(target: &Fuzz, seeds: &[Vec<u8>], first: u64, progress: &str) {
    let progress = std::fs::File::create(progress).expect("progress can be written");
    for number in first.. {
        progress.write_all_at(&number.to_le_bytes(), 0).expect("progress can be written");
        within(target.run, &input(seeds, target.pair, number));
    }
}

/// This program, with other arguments.
fn start(target: &Fuzz, how: &str) -> Child {
    Command::new(std::env::current_exe().expect("this program has a path"))
        .args([target.name, how])
        .stdout(Stdio::null())
        .spawn()
        .expect("a process can be started")
}

/// Lets workers work until the time is over; whether none of them failed.
fn watch(target: &Fuzz, minutes: f64) -> ExitCode {
    let begin = Instant::now();
    let end = begin + Duration::from_secs_f64(minutes * 60.0);
    let folder = tempfile::tempdir().expect("there is room");
    let path = folder.path().join("progress");
    let number = || {
        let bytes = std::fs::read(&path).ok().and_then(|bytes| bytes.try_into().ok());
        bytes.map_or(0, u64::from_le_bytes)
    };
    let (mut first, mut failures) = (0, 0);
    while Instant::now() < end {
        let _ = std::fs::remove_file(&path);
        let mut child = start(target, &format!("@{first}:{}", path.display()));
        let (mut last, mut since) = (0, Instant::now());
        let why = loop {
            std::thread::sleep(Duration::from_millis(200));
            if let Some(status) = child.try_wait().expect("the child can be asked") {
                break status.to_string();
            }
            if last != number() {
                (last, since) = (number(), Instant::now());
            }
            let over = Instant::now() >= end;
            if over || since.elapsed() > PATIENCE {
                child.kill().expect("the child can be ended");
                let _ = child.wait();
                break if over { String::new() } else { "no end".to_owned() };
            }
        };
        // Other programs may have had the machine for themselves: only an input that fails again has failed.
        if !why.is_empty() && fails(target, number()) {
            failures += 1;
            println!("{}: input {}: {why}", target.name, number());
        }
        first = number() + 1;
    }
    let took = begin.elapsed().as_secs();
    println!("{}: {first} inputs in {took} s, {failures} failures", target.name);
    if failures == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Whether an input fails alone.
fn fails(target: &Fuzz, number: u64) -> bool {
    let begin = Instant::now();
    let mut child = start(target, &format!("={number}"));
    while begin.elapsed() < PATIENCE * 5 {
        if let Some(status) = child.try_wait().expect("the child can be asked") {
            return !status.success();
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let _ = (child.kill(), child.wait());
    true
}
