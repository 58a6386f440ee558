//! The client without a prompt: lines in, lines out, for pipes, scripts and terminals that can do no more.

use std::io::{self, BufRead, BufReader, ErrorKind, IsTerminal, Read, Stdin, StdoutLock, Write, stderr, stdin, stdout};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, anyhow};

use super::hub::Hub;
use super::link::{self, Listener, Spoken};
use super::render::Renderer;
use super::session::{Session, parse_name};
use super::{NAME_QUESTION, session_for, signals};
use crate::cli::ClientArgs;
use crate::protocol::command::is_exit;
use crate::protocol::name::Name;
use crate::protocol::notice::PRIVATE;

/// The longest line that is sent, its end included: what the most patient server takes.
const MAX_LINE: u64 = 16 * 1024 * 1024;

/// Time to say goodbye when a signal asks to stop.
const FAREWELL_TIMEOUT: Duration = Duration::from_secs(1);

/// Sends every line of standard input and writes the conversation to standard output, until the server closes.
///
/// # Errors
/// Fails as [`link::stay`] does, when there is no name, and when the output cannot be written.
pub fn run(args: &ClientArgs, name: Option<Name>, colors: bool) -> anyhow::Result<()> {
    let mut input = Input(BufReader::new(stdin()));
    let name = match name {
        Some(name) => name,
        None => input.name(!args.no_tag)?,
    };
    let hub = Arc::new(Hub::new(session_for(name, args)));
    leave_on_signal(Arc::clone(&hub))?;
    let typist = Arc::clone(&hub);
    thread::Builder::new().name("input".into()).spawn(move || type_all(input, &typist))?;

    let mut output =
        Output { out: stdout().lock(), renderer: Renderer { colors, bell: false, day: None }, result: Ok(()) };
    let result = link::stay(&args.server, !args.no_reconnect, &hub, &mut output);
    if let Some(signal) = hub.stopped_by() {
        signals::die_by(signal);
    }
    match output.result {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(anyhow!("cannot write the conversation: {error}")),
        _ => result,
    }
}

/// Says every line of the input, at the pace at which they are heard, and then leaves.
fn type_all(mut input: Input, hub: &Hub) {
    while let Ok(Some(line)) = input.next_line() {
        if is_exit(&line) {
            break;
        }
        hub.wait_until(None, |session| !session.is_full());
        hub.with(|session| session.say(&line));
    }
    hub.with(Session::leave);
}

fn leave_on_signal(hub: Arc<Hub>) -> anyhow::Result<()> {
    signals::watch(move |signal, _| {
        hub.stop_by(signal);
        hub.wait_until(Some(FAREWELL_TIMEOUT), Session::is_down);
        signals::die_by(signal);
    })
    .context("cannot listen to signals")
}

/// Lines of standard input.
struct Input(BufReader<Stdin>);

impl Input {
    /// The first line, as `nc` would send it.
    fn name(&mut self, tagged: bool) -> anyhow::Result<Name> {
        if stdin().is_terminal() {
            let _ = write!(stderr(), "{NAME_QUESTION}");
        }
        let line = self.next_line().context("cannot read the input")?.context("there is no name to join under")?;
        parse_name(&String::from_utf8_lossy(&line), tagged).map_err(|why| anyhow!("that name will not do: {why}"))
    }

    /// The next line, without its end; over-long ones are passed over, and said to be.
    fn next_line(&mut self) -> io::Result<Option<Vec<u8>>> {
        loop {
            let mut line = Vec::new();
            let count = (&mut self.0).take(MAX_LINE).read_until(b'\n', &mut line)?;
            if count == 0 {
                return Ok(None);
            }
            let is_whole = line.pop_if(|end| *end == b'\n').is_some();
            if is_whole || count as u64 != MAX_LINE {
                line.pop_if(|end| *end == b'\r');
                return Ok(Some(line));
            }
            self.0.skip_until(b'\n')?;
            let _ = writeln!(stderr(), "gotcp: a line longer than {MAX_LINE} bytes was not sent");
        }
    }
}

/// Standard output for what everyone hears, standard error for the rest.
struct Output {
    out: StdoutLock<'static>,
    renderer: Renderer,
    result: io::Result<()>,
}

impl Listener for Output {
    fn show(&mut self, spoken: &[Spoken]) -> io::Result<()> {
        let (mut public, mut private) = (String::new(), String::new());
        for item in spoken {
            match item {
                Spoken::Line { text, is_history, own } => {
                    let out = if text.starts_with(PRIVATE) { &mut private } else { &mut public };
                    out.push_str(&self.renderer.line(text, own, *is_history));
                    out.push('\n');
                }
                Spoken::Note(text) => private.push_str(&self.renderer.note(text)),
            }
        }
        // Nobody has to listen to this side of it.
        let _ = stderr().write_all(private.as_bytes());
        let result = self.out.write_all(public.as_bytes()).and_then(|()| self.out.flush());
        if let Err(error) = result {
            self.result = Err(error);
            return Err(ErrorKind::BrokenPipe.into());
        }
        Ok(())
    }

    fn renamed(&mut self) {}

    fn refused(&mut self, _why: &str) -> bool {
        false
    }
}
