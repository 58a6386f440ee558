//! What is measured, in which order.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use clap::{Parser, ValueEnum};

use super::floor;
use super::load::{Load, Pace};
use super::plot;
use super::process::Server;
use super::report::{self, Run};
use super::subject::Subject;

/// Measures broadcasting end to end, in deliveries per second of server CPU.
#[derive(Debug, Parser)]
struct Options {
    /// Who is measured, in turn
    #[arg(long, value_delimiter = ',', default_value = "floor,gotcp")]
    subjects: Vec<Subject>,

    /// What is measured [default: all]
    #[arg(long, value_delimiter = ',')]
    groups: Vec<Group>,

    /// How many clients there are [default: what suits the group]
    #[arg(long, value_delimiter = ',')]
    clients: Vec<usize>,

    /// How often; medians are shown
    #[arg(long, default_value_t = 3)]
    rounds: usize,

    /// Only see that everything works, in seconds: few clients, little to say, one round
    #[arg(long)]
    quick: bool,

    /// Compare with other servers, those that are installed: all subjects, at 100 and 1000 clients
    #[arg(long)]
    compare: bool,

    /// Keep the figures of every run in this folder, as performance.csv, and what they say as tables and as a plot
    #[arg(long, value_name = "FOLDER")]
    save: Option<PathBuf>,

    /// Be the floor
    #[arg(long, hide = true)]
    floor: Option<SocketAddr>,

    /// What `cargo bench` says to every benchmark, and `cargo test` does not
    #[arg(long, hide = true)]
    bench: bool,
}

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Group {
    /// Many lines in flight: 10 senders without pause
    Flood,
    /// One line at a time, the next one when everybody has heard it
    OneByOne,
    /// A busy room: 200 lines a second
    Paced,
    /// A crowd joins, and everybody hears of everybody
    Joining,
}

impl Group {
    /// What the group is called in reports.
    pub fn title(self) -> &'static str {
        match self {
            Group::Flood => "many lines in flight",
            Group::OneByOne => "one line at a time",
            Group::Paced => "200 lines a second",
            Group::Joining => "joining",
        }
    }

    fn sizes(self, quick: bool) -> &'static [usize] {
        match (self, quick) {
            (Group::Flood | Group::OneByOne, false) => &[10, 100, 1000, 5000],
            (Group::Paced, false) => &[1000],
            (Group::Joining, false) => &[5000],
            (_, true) => &[10, 100],
        }
    }

    /// How many lines are said: enough for a second or so of the server's time.
    fn lines(self, subject: Subject, clients: usize, quick: bool) -> u64 {
        let divisor = if quick { 20 } else { 1 };
        let clients = clients as u64;
        match self {
            // The others would be busy for a minute.
            Group::Flood if !matches!(subject, Subject::Floor | Subject::Gotcp) => 4_000_000 / clients / divisor,
            Group::Flood => (40_000_000 / clients).min(500_000) / divisor,
            Group::OneByOne => (150_000 / clients).min(5_000) / divisor,
            Group::Paced => 1_000 / divisor,
            Group::Joining => 0,
        }
    }

    fn pace(self) -> Pace {
        match self {
            Group::Flood => Pace::Flood,
            Group::OneByOne | Group::Joining => Pace::OneByOne,
            Group::Paced => Pace::Every(Duration::from_millis(5)),
        }
    }
}

pub fn main() -> anyhow::Result<()> {
    let mut options = Options::parse();
    if let Some(address) = options.floor {
        match floor::serve(address)? {}
    }
    rlimit::increase_nofile_limit(u64::MAX)?;
    options.quick |= !options.bench;
    if options.compare {
        options.subjects = Subject::value_variants().to_vec();
    }
    if options.groups.is_empty() {
        options.groups =
            if options.compare { vec![Group::Flood, Group::OneByOne] } else { Group::value_variants().to_vec() };
    }
    let mut runs = Vec::new();
    for &group in &options.groups {
        let sizes = match &options.clients[..] {
            [] if options.compare && !options.quick => &[100, 1000],
            [] => group.sizes(options.quick),
            asked => asked,
        };
        for &clients in sizes {
            measure_in_turn(&options, group, clients, &mut runs)?;
        }
    }
    eprint!("\r\x1b[K");
    ensure!(!runs.is_empty(), "there was nothing to measure");
    let rows = report::rows(&runs);
    print!("{}", report::tables(&rows));
    if let Some(folder) = options.save {
        report::save(&runs, &rows, &folder)?;
        plot::save(&rows, &folder.join("performance.svg"))?;
    }
    Ok(())
}

/// Measures all subjects in turn, round after round, so that they share the machine's moods.
fn measure_in_turn(options: &Options, group: Group, clients: usize, runs: &mut Vec<Run>) -> anyhow::Result<()> {
    let mut subjects = options.subjects.clone();
    for round in 0..if options.quick { 1 } else { options.rounds } {
        let mut dropped = None;
        for &subject in &subjects {
            let what = format!("{}: {subject}, {clients} clients", group.title());
            eprint!("\r\x1b[K{what}, round {}", round + 1);
            match measure(group, subject, clients, round, options.quick) {
                Ok(Some(run)) => runs.push(run),
                Ok(None) => dropped = Some((subject, "not installed".into())),
                Err(error) if matches!(subject, Subject::Floor | Subject::Gotcp) => return Err(error.context(what)),
                // What others do not stand is worth knowing, and no reason to end.
                Err(error) => dropped = Some((subject, format!("{error:#}"))),
            }
        }
        if let Some((dropped, why)) = dropped {
            runs.push(Run {
                group: group.title().into(),
                clients,
                subject: dropped.to_string(),
                why,
                ..Run::default()
            });
            subjects.retain(|&subject| subject != dropped);
        }
    }
    Ok(())
}

/// One run: a fresh server, a fresh crowd. Nothing where the server is not installed.
fn measure(group: Group, subject: Subject, clients: usize, round: usize, quick: bool) -> anyhow::Result<Option<Run>> {
    let server = match Server::start(|address| subject.command(address, clients)) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        server => server.context("it does not start")?,
    };
    let empty = server.memory()?;
    let (mut start, mut cpu) = (Instant::now(), server.cpu()?);
    let mut load = Load::join(subject, server.address, clients)?;
    let idle = server.memory()?;
    let mut deliveries = (clients * (clients + 1) / 2) as u64;
    if group != Group::Joining {
        let lines = group.lines(subject, clients, quick);
        deliveries = lines * clients as u64;
        (start, cpu) = (Instant::now(), server.cpu()?);
        load.say(lines, group.pace())?;
    }
    let cpu = server.cpu()?.saturating_sub(cpu);
    Ok(Some(Run {
        group: group.title().into(),
        clients,
        subject: subject.to_string(),
        round,
        deliveries,
        cpu: cpu.as_secs_f64(),
        wall: start.elapsed().as_secs_f64(),
        empty: empty.now,
        idle: idle.now,
        peak: server.memory()?.peak,
        why: String::new(),
    }))
}
