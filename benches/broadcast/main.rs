//! Measures broadcasting end to end: a server and its clients, over loopback.
//!
//! The unit is a *delivery*: one line to one receiver. What is compared is deliveries per second of the *server's
//! processor time*, because that depends on the server alone: server and load each have a core of their own. Every byte
//! that every client is sent is counted and compared; a run in which one is missing or wrong is an error.
//!
//! Each figure stands beside the [`floor`]'s for the same work, taken in turn with it in the same run: the ratio of the
//! two says more than either, for machines have moods.
//!
//! `cargo bench --bench broadcast -- --help` tells what can be asked for.

#[cfg(target_os = "linux")]
mod floor;
#[cfg(target_os = "linux")]
mod load;
#[cfg(target_os = "linux")]
mod plot;
#[cfg(target_os = "linux")]
mod process;
#[cfg(target_os = "linux")]
mod report;
#[cfg(target_os = "linux")]
mod run;
#[cfg(target_os = "linux")]
mod subject;

#[cfg(target_os = "linux")]
fn main() -> anyhow::Result<()> {
    run::main()
}

#[cfg(not(target_os = "linux"))]
fn main() {
    println!("skipped: the server's processor time and memory are read from Linux's /proc");
}
