//! Feeds damaged input to the parsers, for so long: `FLEET_FUZZ_SECONDS=120 cargo run --release -- [TARGET…]`.
//!
//! Without a coverage-guided engine: seeds are flipped, cut, repeated and spliced, by a generator that a seed decides
//! (`FLEET_FUZZ_SEED`), so that a run can be had again. An input that breaks a target is kept in its corpus, which the
//! ordinary tests replay.

mod targets;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use targets::{TARGETS, Target};

/// Longer inputs find nothing that shorter ones do not.
const MAX_INPUT: usize = 64 << 10;

fn main() -> ExitCode {
    let asked: Vec<String> = std::env::args().skip(1).collect();
    let number = |name: &str, default: u64| {
        std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
    };
    let time = Duration::from_secs(number("FLEET_FUZZ_SECONDS", 10));
    if let Some(unknown) = asked.iter().find(|name| TARGETS.iter().all(|(known, _)| known != name)) {
        eprintln!("{unknown}: no such target; there are {}", TARGETS.map(|(name, _)| name).join(", "));
        return ExitCode::from(2);
    }
    let mut broken = false;
    for (name, target) in TARGETS {
        if asked.is_empty() || asked.iter().any(|asked| asked == name) {
            broken |= run(name, target, time, number("FLEET_FUZZ_SEED", 7)).is_err();
        }
    }
    if broken { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn run(name: &str, target: Target, time: Duration, seed: u64) -> Result<(), PathBuf> {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(name);
    let mut files: Vec<PathBuf> =
        fs::read_dir(&corpus).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    files.sort();
    let seeds: Vec<Vec<u8>> = files.iter().filter_map(|file| fs::read(file).ok()).collect();
    let mut chance = Chance(seed);
    let (began, mut count) = (Instant::now(), 0u64);
    while began.elapsed() < time {
        for _ in 0..256 {
            let input = mutated(&seeds, &mut chance);
            count += 1;
            if std::panic::catch_unwind(|| target(&input)).is_err() {
                let kept = corpus.join(format!("broken-{seed}-{count}"));
                let _ = fs::write(&kept, &input);
                eprintln!("{name}: broken by input {count}, kept as {}", kept.display());
                return Err(kept);
            }
        }
    }
    println!("{name}: {count} inputs in {} s, {} seeds, nothing broken", time.as_secs(), seeds.len());
    Ok(())
}

/// SplitMix64.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// Below `limit`; zero where that is zero.
    fn below(&mut self, limit: usize) -> usize {
        if limit == 0 { 0 } else { (self.next() % limit as u64) as usize }
    }
}

fn mutated(seeds: &[Vec<u8>], chance: &mut Chance) -> Vec<u8> {
    let mut input = seeds.get(chance.below(seeds.len())).cloned().unwrap_or_default();
    for _ in 0..=chance.below(8) {
        change(&mut input, seeds, chance);
    }
    input.truncate(MAX_INPUT);
    input
}

/// What breaks readers of numbers, texts and nestings.
const WORDS: [&[u8]; 16] = [
    b"-1",
    b"18446744073709551615",
    b"1e308",
    b"null",
    b"true",
    b"[]",
    b"{}",
    b"\"\"",
    b"\\u0000",
    b"\\ud800",
    b"\xff",
    b"\n",
    b"\"",
    b"[[[[[[[[",
    b"0.1",
    b"2026-99-99T00:00:00Z",
];

fn change(input: &mut Vec<u8>, seeds: &[Vec<u8>], chance: &mut Chance) {
    let at = chance.below(input.len() + 1);
    let length = chance.below(input.len() - at + 1).min(1 + chance.below(200));
    match chance.below(8) {
        0 => {
            if let Some(byte) = input.get_mut(at) {
                *byte ^= 1 << chance.below(8);
            }
        }
        1 => {
            if let Some(byte) = input.get_mut(at) {
                *byte = chance.next() as u8;
            }
        }
        2 => drop(input.drain(at..at + length)),
        3 => {
            let piece = input[at..at + length].to_vec();
            let to = chance.below(input.len() + 1);
            input.splice(to..to, piece);
        }
        4 => {
            let other = seeds.get(chance.below(seeds.len())).map_or(&[][..], Vec::as_slice);
            let from = chance.below(other.len() + 1);
            let to = from + chance.below(other.len() - from + 1);
            input.splice(at..at + length, other[from..to].iter().copied());
        }
        5 => drop(input.splice(at..at, WORDS[chance.below(WORDS.len())].iter().copied())),
        6 => number(input, at, chance),
        _ => input.truncate(at),
    }
}

/// Puts another number in the place of the next one.
fn number(input: &mut Vec<u8>, from: usize, chance: &mut Chance) {
    let Some(start) = input[from..].iter().position(u8::is_ascii_digit).map(|offset| from + offset) else {
        return;
    };
    let end = input[start..]
        .iter()
        .position(|byte| !byte.is_ascii_digit())
        .map_or(input.len(), |offset| start + offset);
    let value = chance.next() >> chance.below(64);
    input.splice(start..end, value.to_string().into_bytes());
}
