//! What was measured, as files.

use std::fs;
use std::path::Path;

use anyhow::Context;

use crate::report::{Row, Run, tables};

const HEAD: [&str; 13] = [
    "group",
    "clients",
    "subject",
    "round",
    "deliveries",
    "cpu",
    "wall",
    "median delay",
    "99th delay",
    "empty",
    "idle",
    "peak",
    "why",
];

/// Writes the figures of every run, and the tables. Times are in seconds, delays in milliseconds, memory is in KiB.
pub fn save(runs: &[Run], rows: &[Row], folder: &Path) -> anyhow::Result<()> {
    let context = || format!("cannot write to {}", folder.display());
    fs::create_dir_all(folder).with_context(context)?;
    let mut writer = csv::Writer::from_path(folder.join("performance.csv")).with_context(context)?;
    writer.write_record(HEAD)?;
    for run in runs {
        let Run { group, clients, subject, round, deliveries, cpu, wall, empty, idle, peak, why, .. } = run;
        let counts = [clients.to_string(), round.to_string(), deliveries.to_string()];
        let times = [*cpu, *wall, run.median_delay, run.late_delay].map(|time| format!("{time:?}"));
        let memory = [empty, idle, peak].map(u32::to_string);
        let [clients, round, deliveries] = &counts;
        writer.write_record([
            group, clients, subject, round, deliveries, &times[0], &times[1], &times[2], &times[3], &memory[0],
            &memory[1], &memory[2], why,
        ])?;
    }
    writer.flush()?;
    fs::write(folder.join("performance.tables.md"), tables(rows)).with_context(context)
}
