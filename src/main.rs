//! Parses the command line, runs the server or the client, and turns the outcome into an exit code.

use std::io::{ErrorKind, Write, stderr, stdout};
use std::process::ExitCode;

use anyhow::Context;
use clap::error::ErrorKind::MissingRequiredArgument;
use clap::error::{ContextKind, ContextValue};
use clap::{CommandFactory, Parser};
use gotcp::cli::{Cli, Half, WrongUsage};
use gotcp::{client, log, server};

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return usage(&error),
    };
    let outcome = match &cli.half {
        Half::Server(args) => server::run(args),
        Half::Client(args) => client::run(args),
        Half::Log(args) => log::print::run(args),
        Half::Completions { shell } => completions(*shell),
        Half::Man { half } => manual(half.as_deref()),
    };
    outcome.unwrap_or_else(|error| {
        complain(format_args!("{error:#}"));
        ExitCode::from(if error.is::<WrongUsage>() { 2 } else { 1 })
    })
}

/// Prints completions for a shell.
fn completions(shell: clap_complete::Shell) -> anyhow::Result<ExitCode> {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "gotcp", &mut text);
    print(&text)
}

/// Prints the manual page of the program, or of one half of it.
fn manual(half: Option<&str>) -> anyhow::Result<ExitCode> {
    let mut command = Cli::command();
    command.build();
    let command = half.and_then(|half| command.find_subcommand(half)).unwrap_or(&command).clone();
    let mut text = Vec::new();
    clap_mangen::Man::new(command).render(&mut text).context("cannot make the manual page")?;
    print(&text)
}

/// Prints on stdout. If nobody reads that any more, it is a normal end.
fn print(text: &[u8]) -> anyhow::Result<ExitCode> {
    match stdout().write_all(text) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error).context("cannot write"),
        _ => Ok(ExitCode::SUCCESS),
    }
}

/// Prints help as clap lays it out, but a mistake in one line.
fn usage(error: &clap::Error) -> ExitCode {
    if !error.use_stderr() || error.kind() == clap::error::ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        let _ = error.print();
    } else {
        let text = error.to_string();
        let line = text.lines().next().unwrap_or_default().trim_start_matches("error: ");
        let line = match error.get(ContextKind::InvalidArg) {
            Some(ContextValue::Strings(missing)) if error.kind() == MissingRequiredArgument => {
                format!("there is no {}", missing.join(" and no "))
            }
            _ => line.to_owned(),
        };
        complain(format_args!("{}{} (see {} --help)", without_logins(&line), advice(error), page()));
    }
    ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2))
}

/// A line in which quoted addresses have no login: clap repeats what was wrong, and that may be next to a password.
fn without_logins(line: &str) -> String {
    let masked = line.split_inclusive(['\'', '"']).map(|part| {
        let Some((login, address)) = part.rsplit_once('@') else { return part.to_owned() };
        let scheme = login.split_once("://").map_or(String::new(), |(scheme, _)| format!("{scheme}://"));
        format!("{scheme}***@{address}")
    });
    masked.collect()
}

/// What clap knows that would do instead.
fn advice(error: &clap::Error) -> String {
    let words = |kind| match error.get(kind) {
        Some(ContextValue::String(word)) => word.clone(),
        Some(ContextValue::Strings(words)) => words.join(", "),
        _ => String::new(),
    };
    let [allowed, meant] = [&[ContextKind::ValidValue][..], &SUGGESTIONS]
        .map(|kinds| kinds.iter().map(|&kind| words(kind)).find(|words| !words.is_empty()));
    let allowed = allowed.map(|allowed| format!("; allowed are {allowed}")).unwrap_or_default();
    let meant = meant.map(|meant| format!("; did you mean {meant}?")).unwrap_or_default();
    allowed + &meant
}

const SUGGESTIONS: [ContextKind; 3] =
    [ContextKind::SuggestedArg, ContextKind::SuggestedValue, ContextKind::SuggestedSubcommand];

/// Whose help page it is that helps.
fn page() -> String {
    let half = std::env::args().nth(1).filter(|word| Cli::command().find_subcommand(word).is_some());
    half.map_or("gotcp".into(), |half| format!("gotcp {half}"))
}

/// Prints one line on stderr. If that is closed, nobody is left to tell.
fn complain(what: std::fmt::Arguments<'_>) {
    let _ = writeln!(stderr(), "gotcp: {what}");
}
