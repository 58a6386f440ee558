//! Measures broadcasting end to end: a server and its clients, over loopback.
//!
//! The unit is a *delivery*: one line to one client. The result is deliveries per second of the *server's CPU time*,
//! which depends on the server alone: the server and the load generator have a core each. Every byte that a client
//! receives is counted and compared; a run in which one is missing or wrong is an error.
//!
//! Each figure stands beside the [`floor`]'s for the same work, measured in turn with it. As the machine is not equally
//! fast all the time, the ratio of the two says more than either.
//!
//! `cargo bench --bench broadcast -- --help` lists the options. The crate `compare` measures other servers with these
//! modules.

#[cfg(target_os = "linux")]
mod floor;
#[cfg(target_os = "linux")]
mod load;
#[cfg(target_os = "linux")]
mod process;
#[cfg(target_os = "linux")]
mod report;
#[cfg(target_os = "linux")]
mod run;
#[cfg(target_os = "linux")]
mod subject;
#[cfg(target_os = "linux")]
mod web;

#[cfg(target_os = "linux")]
fn main() -> anyhow::Result<()> {
    use clap::Parser;
    use std::cell::Cell;

    use subject::{Floor, Gotcp};

    /// Measures broadcasting end to end, in deliveries per second of server CPU
    #[derive(Debug, Parser)]
    struct Options {
        #[command(flatten)]
        run: run::Options,

        /// `cargo bench` gives this to every benchmark, and `cargo test` does not
        #[arg(long, hide = true)]
        bench: bool,
    }

    let Options { mut run, bench } = Options::parse();
    run.quick |= !bench;
    let gotcp = || Gotcp::new(env!("CARGO_BIN_EXE_gotcp"));
    let (folder, files) = (tempfile::tempdir()?, Cell::new(0));
    let new_log = move || {
        files.set(files.get() + 1);
        vec!["--log".into(), folder.path().join(format!("room{}.db", files.get())).into()]
    };
    let logged = Gotcp { name: "gotcp, file", options: Box::new(new_log), ..gotcp() };
    let runs = run::measure_all(&run, &[&Floor, &gotcp(), &logged])?;
    print!("{}", report::tables(&report::rows(&runs)));
    Ok(())
}

#[cfg(not(target_os = "linux"))]
fn main() {
    println!("skipped: the server's CPU time and memory are read from Linux's /proc");
}
