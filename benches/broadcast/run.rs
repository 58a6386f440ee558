//! What is measured, in which order.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use clap::{Args, ValueEnum};

use super::floor;
use super::load::{Load, Pace};
use super::process::Server;
use super::report::Run;
use super::subject::Subject;

/// Deliveries a second in a busy room.
const PACE: u64 = 100_000;

/// What can be asked for.
#[derive(Debug, Args)]
pub struct Options {
    /// What is measured [default: all]
    #[arg(long, value_delimiter = ',')]
    pub groups: Vec<Group>,

    /// How many clients there are [default: what suits the group]
    #[arg(long, value_delimiter = ',')]
    pub clients: Vec<usize>,

    /// How often; medians are shown
    #[arg(long, default_value_t = 3)]
    pub rounds: usize,

    /// Only check that everything works, in seconds: few clients, few lines, one round
    #[arg(long)]
    pub quick: bool,

    /// Be the floor
    #[arg(long, hide = true)]
    pub floor: Option<SocketAddr>,
}

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Group {
    /// Many lines in flight: 10 clients send without a pause
    Flood,
    /// One line at a time, the next one when everyone has received it
    OneByOne,
    /// A busy room: 100,000 deliveries a second, so 1000 lines to 100 clients
    Paced,
    /// A crowd joins, and everyone is told of everyone
    Joining,
}

impl Group {
    /// What the group is called in reports.
    pub fn title(self) -> &'static str {
        match self {
            Group::Flood => "many lines in flight",
            Group::OneByOne => "one line at a time",
            Group::Paced => "100,000 deliveries a second",
            Group::Joining => "joining",
        }
    }

    fn sizes(self, quick: bool) -> &'static [usize] {
        match (self, quick) {
            (Group::Flood | Group::OneByOne, false) => &[10, 100, 1000, 5000],
            (Group::Paced, false) => &[100, 1000],
            (Group::Joining, false) => &[5000],
            (_, true) => &[10, 100],
        }
    }

    /// How many lines are said: enough for a second or so of the server's time.
    fn lines(self, subject: &dyn Subject, clients: usize, quick: bool) -> u64 {
        let divisor = if quick { 20 } else { 1 };
        let clients = clients as u64;
        match self {
            // Others would take a minute for as much as ours.
            Group::Flood if subject.is_foreign() => 4_000_000 / clients / divisor,
            Group::Flood => (40_000_000 / clients).min(500_000) / divisor,
            Group::OneByOne => (150_000 / clients).min(5_000) / divisor,
            // For five seconds.
            Group::Paced => 5 * PACE / clients / divisor,
            Group::Joining => 0,
        }
    }

    fn pace(self, clients: usize) -> Pace {
        match self {
            Group::Flood => Pace::Flood,
            Group::OneByOne | Group::Joining => Pace::OneByOne,
            Group::Paced => {
                Pace::Every(Duration::from_secs(clients as u64) / u32::try_from(PACE).expect("it is small"))
            }
        }
    }
}

/// Measures all subjects at all that is asked for. Where this process is to be the floor, it does not return.
pub fn measure_all(options: &Options, subjects: &[&dyn Subject]) -> anyhow::Result<Vec<Run>> {
    if let Some(address) = options.floor {
        match floor::serve(address)? {}
    }
    rlimit::increase_nofile_limit(u64::MAX)?;
    let groups = if options.groups.is_empty() { Group::value_variants() } else { &options.groups };
    let mut runs = Vec::new();
    for &group in groups {
        let sizes = if options.clients.is_empty() { group.sizes(options.quick) } else { &options.clients };
        for &clients in sizes {
            measure_in_turn(options, group, clients, subjects, &mut runs)?;
        }
    }
    eprint!("\r\x1b[K");
    ensure!(!runs.is_empty(), "there was nothing to measure");
    Ok(runs)
}

/// Measures the subjects in turn, round after round, so that changes of the machine's speed affect all of them.
fn measure_in_turn(
    options: &Options,
    group: Group,
    clients: usize,
    subjects: &[&dyn Subject],
    runs: &mut Vec<Run>,
) -> anyhow::Result<()> {
    let mut subjects = subjects.to_vec();
    for round in 0..if options.quick { 1 } else { options.rounds } {
        let mut failures = Vec::new();
        for (index, &subject) in subjects.iter().enumerate() {
            let what = format!("{}: {}, {clients} clients", group.title(), subject.name());
            eprint!("\r\x1b[K{what}, round {}", round + 1);
            match measure(group, subject, clients, round, options.quick) {
                Ok(Some(run)) => runs.push(run),
                Ok(None) => failures.push((index, "not installed".into())),
                Err(error) if !subject.is_foreign() => return Err(error.context(what)),
                // That another server fails is a result, too.
                Err(error) => failures.push((index, format!("{error:#}"))),
            }
        }
        for (index, why) in failures.into_iter().rev() {
            let subject = subjects.remove(index).name().into();
            runs.push(Run { group: group.title().into(), clients, subject, why, ..Run::default() });
        }
    }
    Ok(())
}

/// One run: a new server and new clients. `None` if the server is not installed.
fn measure(
    group: Group,
    subject: &dyn Subject,
    clients: usize,
    round: usize,
    quick: bool,
) -> anyhow::Result<Option<Run>> {
    let server = match Server::start(|address| subject.command(address, clients)) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        server => server.context("it does not start")?,
    };
    let empty = server.memory()?;
    let (mut start, mut cpu) = (Instant::now(), server.cpu()?);
    let mut load = Load::join(subject, server.address, clients)?;
    let idle = server.memory()?;
    let mut deliveries = (clients * (clients + 1) / 2) as u64;
    let mut delays = Vec::new();
    if group != Group::Joining {
        let lines = group.lines(subject, clients, quick);
        deliveries = lines * clients as u64;
        (start, cpu) = (Instant::now(), server.cpu()?);
        delays = load.say(lines, group.pace(clients))?;
    }
    let cpu = server.cpu()?.saturating_sub(cpu);
    delays.sort_unstable();
    let delay = |percent: usize| delays.get(delays.len() * percent / 100).map_or(f64::NAN, |at| at.as_secs_f64() * 1e3);
    Ok(Some(Run {
        group: group.title().into(),
        clients,
        subject: subject.name().into(),
        round,
        deliveries,
        cpu: cpu.as_secs_f64(),
        wall: start.elapsed().as_secs_f64(),
        median_delay: delay(50),
        late_delay: delay(99),
        empty: empty.now,
        idle: idle.now,
        peak: server.memory()?.peak,
        why: String::new(),
    }))
}
