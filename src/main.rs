//! Parses the command line, runs the server or the client, and turns the outcome into an exit code.

use std::io::{Write, stderr};
use std::process::ExitCode;

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
    };
    outcome.unwrap_or_else(|error| {
        complain(format_args!("{error:#}"));
        ExitCode::from(if error.is::<WrongUsage>() { 2 } else { 1 })
    })
}

/// Prints help as clap lays it out, but a mistake in one line.
fn usage(error: &clap::Error) -> ExitCode {
    if !error.use_stderr() || error.kind() == clap::error::ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        let _ = error.print();
    } else {
        let text = error.to_string();
        let line = text.lines().next().unwrap_or_default().trim_start_matches("error: ");
        complain(format_args!("{line}{} (see {} --help)", advice(error), page()));
    }
    ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2))
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
    match (meant, allowed) {
        (Some(meant), _) => format!("; did you mean {meant}?"),
        (None, Some(allowed)) => format!("; allowed are {allowed}"),
        (None, None) => String::new(),
    }
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
