//! Measures gotcp beside other servers, those that are installed, and draws what comes of it.
//!
//! `cargo run --release --package compare -- --save docs` writes docs/performance.csv and docs/performance.svg. How it
//! is measured is in gotcp's own benchmark, benches/broadcast, whose modules these are.

#[cfg(target_os = "linux")]
#[path = "../../tests/support/address.rs"]
mod address;
#[cfg(target_os = "linux")]
#[path = "../../tests/support/engine.rs"]
#[allow(dead_code)] // Only tests have engines fail.
mod engine;
#[cfg(target_os = "linux")]
#[path = "../../benches/broadcast/floor.rs"]
mod floor;
#[cfg(target_os = "linux")]
#[path = "../../benches/broadcast/load.rs"]
mod load;
#[cfg(target_os = "linux")]
mod others;
#[cfg(target_os = "linux")]
mod plot;
#[cfg(target_os = "linux")]
#[path = "../../benches/broadcast/process.rs"]
mod process;
#[cfg(target_os = "linux")]
#[path = "../../benches/broadcast/report.rs"]
mod report;
#[cfg(target_os = "linux")]
#[path = "../../benches/broadcast/run.rs"]
mod run;
#[cfg(target_os = "linux")]
mod save;
#[cfg(target_os = "linux")]
#[path = "../../tests/support/skip.rs"]
mod skip;
#[cfg(target_os = "linux")]
#[path = "../../benches/broadcast/subject.rs"]
mod subject;
#[cfg(target_os = "linux")]
mod variants;
#[cfg(target_os = "linux")]
#[path = "../../benches/broadcast/web.rs"]
mod web;

#[cfg(target_os = "linux")]
fn main() -> anyhow::Result<()> {
    use std::path::PathBuf;

    use clap::Parser;
    use others::{Nats, Ncat, Redis};
    use run::Group;
    use subject::{Floor, Gotcp};

    /// Measures gotcp and other servers, in deliveries per second of server CPU
    #[derive(Debug, Parser)]
    struct Options {
        #[command(flatten)]
        run: run::Options,

        /// Measure gotcp alone: with its room in memory, in one NATS server, and in three
        #[arg(long, conflicts_with = "save")]
        shared: bool,

        /// Write the figures of every run, the tables and a plot to this folder, as performance.*
        #[arg(long, value_name = "FOLDER")]
        save: Option<PathBuf>,
    }

    let Options { mut run, shared, save } = Options::parse();
    if run.groups.is_empty() {
        run.groups = vec![Group::Paced, Group::Flood, Group::OneByOne];
    }
    if run.clients.is_empty() && !run.quick {
        run.clients = vec![100, 1000];
    }
    // Those that are started again as the floor have nothing to build.
    let program = if run.floor.is_none() { build_gotcp()? } else { PathBuf::new() };
    if shared && run.floor.is_none() {
        let gotcp = Gotcp::new(&program);
        let [one, three] =
            [("gotcp, NATS", 1), ("gotcp, 3 NATS", 3)].map(|(name, engines)| variants::shared(&program, name, engines));
        let (Some(one), Some(three)) = (one, three) else { return Ok(()) };
        print!("{}", report::tables(&report::rows(&run::measure_all(&run, &[&Floor, &gotcp, &one, &three])?)));
        return Ok(());
    }
    let (gotcp, tls, web) = (Gotcp::new(&program), variants::tls(&program)?, variants::web(&program));
    let runs = run::measure_all(&run, &[&Floor, &gotcp, &tls, &web, &Redis, &Nats, &Ncat])?;
    let rows = report::rows(&runs);
    print!("{}", report::tables(&rows));
    if let Some(folder) = save {
        save::save(&runs, &rows, &folder)?;
        plot::save(&rows, &folder.join("performance.svg"))?;
    }
    Ok(())
}

/// Builds gotcp as it is released, and returns where it is: beside this program.
#[cfg(target_os = "linux")]
fn build_gotcp() -> anyhow::Result<std::path::PathBuf> {
    use anyhow::{Context, ensure};

    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml");
    let build = ["build", "--release", "--quiet", "--bin", "gotcp", "--features", "nats", "--manifest-path", manifest];
    let status = std::process::Command::new(env!("CARGO")).args(build).status().context("cannot run cargo")?;
    ensure!(status.success(), "cannot build gotcp");
    let program = std::env::current_exe()?.with_file_name("gotcp");
    ensure!(program.is_file(), "gotcp is not at {}; compare has to be built with --release", program.display());
    Ok(program)
}

#[cfg(not(target_os = "linux"))]
fn main() {
    println!("skipped: the servers' CPU time and memory are read from Linux's /proc");
}
