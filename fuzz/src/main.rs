//! Changes files a little and hands them to a target, without libFuzzer: `mutate TARGET MINUTES FILE…`.
//!
//! Every input is made of its number alone, so that it can be made again: `mutate TARGET =NUMBER FILE…` runs that one, and writes it to `input`. The inputs run in a process of their own; where it ends or does not go on
//! for a while, the number is told and the next process goes on behind it.

use std::os::unix::fs::FileExt;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};
use ubpfc_fuzz::{Fuzz, TARGETS};

/// No input may take longer.
const PATIENCE: Duration = Duration::from_secs(20);

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [name, how, files @ ..] = args.as_slice() else { return usage() };
    let Some(target) = TARGETS.iter().find(|(known, _)| known == name) else { return usage() };
    let seeds: Vec<Vec<u8>> =
        files.iter().map(|file| std::fs::read(file).expect("the seed can be read")).collect();
    if seeds.is_empty() {
        return usage();
    }
    if let Some(number) = how.strip_prefix('=') {
        let input = input(&seeds, number.parse().expect("a number"));
        std::fs::write("input", &input).expect("the input can be written");
        (target.1)(&input);
    } else if let Some((first, progress)) = how.strip_prefix('@').and_then(|how| how.split_once(':')) {
        work(target, &seeds, first.parse().expect("a number"), progress);
    } else {
        return watch(&args, how.parse().expect("minutes"));
    }
    ExitCode::SUCCESS
}

fn usage() -> ExitCode {
    let names: Vec<&str> = TARGETS.iter().map(|(name, _)| *name).collect();
    eprintln!("usage: mutate {} MINUTES|=NUMBER FILE…", names.join("|"));
    ExitCode::FAILURE
}

/// Runs one input after the other, and says in a file which.
fn work(target: &Fuzz, seeds: &[Vec<u8>], first: u64, progress: &str) {
    let progress = std::fs::File::create(progress).expect("progress can be written");
    for number in first.. {
        progress.write_all_at(&number.to_le_bytes(), 0).expect("progress can be written");
        (target.1)(&input(seeds, number));
    }
}

/// Lets workers work until the time is over; whether none of them failed.
fn watch(args: &[String], minutes: f64) -> ExitCode {
    let end = Instant::now() + Duration::from_secs_f64(minutes * 60.0);
    let folder = tempfile::tempdir().expect("there is room");
    let path = folder.path().join("progress");
    let number = || {
        let bytes = std::fs::read(&path).ok().and_then(|bytes| bytes.try_into().ok());
        bytes.map_or(0, u64::from_le_bytes)
    };
    let (mut first, mut failures) = (0, 0);
    while Instant::now() < end {
        let _ = std::fs::remove_file(&path);
        let mut child = Command::new(std::env::current_exe().expect("this program has a path"))
            .arg(&args[0])
            .arg(format!("@{first}:{}", path.display()))
            .args(&args[2..])
            .spawn()
            .expect("a process can be started");
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
        if !why.is_empty() {
            failures += 1;
            println!("{}: input {}: {why}", args[0], number());
        }
        first = number() + 1;
    }
    println!("{}: {first} inputs, {failures} failures", args[0]);
    if failures == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Numbers that look like any others, from a first one (xorshift64*).
struct Dice(u64);

impl Dice {
    fn throw(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let value = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16;
        usize::try_from(value).unwrap_or(0) % sides.max(1)
    }
}

/// The input of that number: a seed with a few changes.
fn input(seeds: &[Vec<u8>], number: u64) -> Vec<u8> {
    let mut dice = Dice(number.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let mut bytes = seeds[dice.throw(seeds.len())].clone();
    for _ in 0..=dice.throw(4) {
        change(&mut bytes, &mut dice);
    }
    bytes
}

/// Words that are seldom expected.
const WORDS: [u32; 8] = [0, 1, 0x7f, 0xff, 0x7fff_ffff, 0x8000_0000, 0xffff_fffe, 0xffff_ffff];

fn change(bytes: &mut Vec<u8>, dice: &mut Dice) {
    // Headers decide more than what follows.
    let near = if dice.throw(3) == 0 { 128.min(bytes.len()) } else { bytes.len() };
    let at = dice.throw(near);
    match dice.throw(6) {
        0 if at < bytes.len() => bytes[at] ^= 1 << dice.throw(8),
        1 if at < bytes.len() => bytes[at] = dice.throw(256) as u8,
        2 => {
            let at = at & !3;
            if let Some(word) = bytes.get_mut(at..at + 4) {
                word.copy_from_slice(&WORDS[dice.throw(WORDS.len())].to_le_bytes());
            }
        }
        3 => {
            let at = at & !3;
            if let Some(word) = bytes.get_mut(at..at + 4) {
                let old = u32::from_le_bytes([word[0], word[1], word[2], word[3]]);
                let new = old.wrapping_add(dice.throw(9) as u32).wrapping_sub(4);
                word.copy_from_slice(&new.to_le_bytes());
            }
        }
        4 if dice.throw(4) == 0 => bytes.truncate(at),
        _ => {
            let (from, len) = (dice.throw(bytes.len()), dice.throw(64));
            let piece = bytes[from..(from + len).min(bytes.len())].to_vec();
            let end = (at + piece.len()).min(bytes.len());
            bytes[at.min(end)..end].copy_from_slice(&piece[..end - at.min(end)]);
        }
    }
}
