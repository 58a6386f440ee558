//! What was measured, as tables.

use std::fmt::Write;

const HEAD: &str = "\
| clients | server | M deliveries/s of CPU | lowest, highest | of the floor | CPU s | wall s | median ms | 99th ms | KiB empty | KiB idle | KiB peak |
|---:|---|---:|---|---:|---:|---:|---:|---:|---:|---:|---:|";

const CANNOT_FAIL: &str = "writing to a String cannot fail";

/// The figures of one run.
#[derive(Clone, Debug, Default)]
pub struct Run {
    pub group: String,
    pub clients: usize,
    pub subject: String,
    pub round: usize,
    /// Lines times receivers.
    pub deliveries: u64,
    /// CPU time of the server, in seconds.
    pub cpu: f64,
    /// Time that it took, in seconds.
    pub wall: f64,
    /// The median and the 99th percentile of the delays of all deliveries, in milliseconds; none where the next line waits
    /// for the last one.
    pub median_delay: f64,
    pub late_delay: f64,
    /// Resident memory of the server before anyone joined, in KiB.
    pub empty: u32,
    /// Resident memory of the server when everyone had joined, in KiB.
    pub idle: u32,
    /// The most resident memory that the server ever had, in KiB.
    pub peak: u32,
    /// Why there are no figures, where there are none.
    pub why: String,
}

impl Run {
    fn rate(&self) -> f64 {
        #[allow(clippy::cast_precision_loss)] // Nobody delivers 2^52 lines here.
        let deliveries = self.deliveries as f64;
        deliveries / self.cpu
    }

    fn is_like(&self, other: &Run) -> bool {
        self.group == other.group && self.clients == other.clients
    }
}

/// The medians of all runs of one server in one group.
pub struct Row {
    pub group: String,
    pub clients: usize,
    pub subject: String,
    /// Deliveries per second of the server's CPU time.
    pub rate: f64,
    /// The lowest and the highest rate of all runs.
    pub spread: (f64, f64),
    /// The rate divided by the floor's, from runs right after one another.
    pub to_floor: f64,
    cpu: f64,
    wall: f64,
    median_delay: f64,
    late_delay: f64,
    empty: f64,
    idle: f64,
    peak: f64,
    /// Why there are no figures, where there are none.
    pub why: String,
}

/// A row for each group, number of clients and server, in the order in which they were measured.
pub fn rows(runs: &[Run]) -> Vec<Row> {
    let mut rows = Vec::new();
    for (index, first) in runs.iter().enumerate() {
        let is_alike = |run: &&Run| run.is_like(first) && run.subject == first.subject;
        if runs[..index].iter().any(|run| is_alike(&run)) {
            continue;
        }
        let row = || runs.iter().filter(is_alike);
        let median = |figure: &dyn Fn(&Run) -> f64| median(row().map(figure).collect());
        let to_floor = |run: &Run| {
            let is_floor = |other: &&Run| other.is_like(run) && other.round == run.round && other.subject == "floor";
            runs.iter().find(is_floor).map_or(f64::NAN, |floor| run.rate() / floor.rate())
        };
        rows.push(Row {
            group: first.group.clone(),
            clients: first.clients,
            subject: first.subject.clone(),
            rate: median(&Run::rate),
            spread: (row().map(Run::rate).fold(f64::INFINITY, f64::min), row().map(Run::rate).fold(0.0, f64::max)),
            to_floor: median(&to_floor),
            cpu: median(&|run| run.cpu),
            wall: median(&|run| run.wall),
            median_delay: median(&|run| run.median_delay),
            late_delay: median(&|run| run.late_delay),
            empty: median(&|run| run.empty.into()),
            idle: median(&|run| run.idle.into()),
            peak: median(&|run| run.peak.into()),
            why: row().map(|run| run.why.clone()).find(|why| !why.is_empty()).unwrap_or_default(),
        });
    }
    rows
}

/// The rows as tables in Markdown, one for each group. Memory is in KiB.
pub fn tables(rows: &[Row]) -> String {
    let mut text = String::new();
    let mut title = "";
    for row in rows {
        if title != row.group {
            title = &row.group;
            writeln!(text, "\n**{title}**\n\n{HEAD}").expect(CANNOT_FAIL);
        }
        if !row.why.is_empty() {
            writeln!(text, "| {} | {} | {} |", row.clients, row.subject, row.why).expect(CANNOT_FAIL);
            continue;
        }
        let Row { clients, subject, rate, to_floor, cpu, wall, empty, idle, peak, .. } = row;
        let [rate, low, high] = [*rate, row.spread.0, row.spread.1].map(|rate| rate / 1e6);
        let [median, late] = [row.median_delay, row.late_delay].map(|delay| match delay {
            _ if delay.is_nan() => "–".into(),
            _ => format!("{delay:.2}"),
        });
        writeln!(
            text,
            "| {clients} | {subject} | {rate:.3} | {low:.3}, {high:.3} | {to_floor:.2} | {cpu:.3} | {wall:.3} | {median} | {late} \
             | {empty} | {idle} | {peak} |",
        )
        .expect(CANNOT_FAIL);
    }
    text
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}
