//! Running a seeded test: which seeds, and which one failed.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

/// Runs `test` with each seed and returns how many there were: as many as `ordinarily` says, `GOTCP_SEEDS` of them if
/// that is set, or the one that `GOTCP_SEED` names. The seed of a failure is printed, with how to run it again.
pub fn each(ordinarily: u64, name: &str, mut test: impl FnMut(u64)) -> u64 {
    let number = |name| std::env::var(name).ok().map(|text| text.parse().expect("a number"));
    let seeds = number("GOTCP_SEED").map_or(0..number("GOTCP_SEEDS").unwrap_or(ordinarily), |seed| seed..seed + 1);
    for seed in seeds.clone() {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| test(seed))) {
            eprintln!("seed {seed} failed; to run it again: GOTCP_SEED={seed} cargo test --test {name}");
            resume_unwind(panic);
        }
    }
    seeds.end - seeds.start
}
