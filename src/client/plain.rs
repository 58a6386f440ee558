//! The client without a prompt: lines in, lines out, for pipes, scripts and terminals that can do no more.

use std::io::{self, BufRead, BufReader, ErrorKind, IsTerminal, Read, Stdin, Write, stderr, stdin, stdout};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, anyhow};

use super::handle::{Command, Handle};
use super::network::{self, Listener, Spoken};
use super::render::Renderer;
use super::wanted::parse_name;
use super::{NAME_QUESTION, Start, signals};
use crate::cli::ClientArgs;
use crate::protocol::command;
use crate::protocol::name::Name;
use crate::protocol::notice::{ERROR, PRIVATE};

/// The longest line that is sent, its end included: what the most patient server takes.
const MAX_LINE: u64 = 16 * 1024 * 1024;

/// Bytes that may wait to be written before the client reads no more.
const MAX_WAITING: usize = 4 * 1024 * 1024;

/// Time to say goodbye when a signal asks to stop.
const FAREWELL_TIMEOUT: Duration = Duration::from_secs(1);

/// What ends a connection, and is no answer to anything that was typed.
const EVICTED: &str = "--- error: you read too slowly";

/// Whether something that was typed could not be done.
static HAS_FAILED: AtomicBool = AtomicBool::new(false);

/// Sends every line of standard input and writes the conversation to standard output, until the server closes. The exit
/// code says whether everything that was typed could be done.
///
/// # Errors
/// Fails as [`network::start`] says, when there is no name, and when the output cannot be written.
pub fn run(args: &ClientArgs, name: Option<Name>, colors: bool) -> anyhow::Result<ExitCode> {
    let mut input = Input(BufReader::new(stdin()));
    let name = match name {
        Some(name) => name,
        None if stdin().is_terminal() => input.name(!args.no_tag)?,
        None => login_name(!args.no_tag).context("there is no name to join under; --username NAME says one")?,
    };
    let (sender, spoken) = mpsc::channel();
    let waiting = Arc::new(AtomicUsize::new(0));
    let queue = Queue { sender, waiting: Arc::clone(&waiting) };
    let handle = network::start(!args.no_reconnect, Start::new(name, args)?, Box::new(queue))?;
    let stopped_by = leave_on_signal(handle.clone())?;
    let typist = handle.clone();
    thread::Builder::new().name("input".into()).spawn(move || type_all(input, &typist))?;

    let renderer = Renderer { colors, bell: false, day: None };
    let written = write_all(&spoken, &waiting, &renderer, args.history, &handle);
    let result = handle.result(FAREWELL_TIMEOUT).unwrap_or(Ok(()));
    match stopped_by.load(Ordering::SeqCst) {
        0 => {}
        signal => signals::die_by(signal),
    }
    match written {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(anyhow!("cannot write the conversation: {error}")),
        _ => result.map(|()| if HAS_FAILED.load(Ordering::SeqCst) { ExitCode::FAILURE } else { ExitCode::SUCCESS }),
    }
}

/// What the user is called on this machine, if that is a name here.
fn login_name(tagged: bool) -> Option<Name> {
    let mut names = ["USER", "LOGNAME", "USERNAME"].iter().filter_map(|variable| std::env::var(variable).ok());
    names.find_map(|name| parse_name(&name, tagged).ok())
}

/// Says every line of the input, at the pace at which they are heard, and then leaves.
fn type_all(mut input: Input, handle: &Handle) {
    while let Ok(Some(line)) = input.next_line() {
        handle.wait_for_room();
        let is_last = command::Command::parse(&String::from_utf8_lossy(&line)).is_exit();
        handle.tell(Command::Say(line));
        if is_last {
            break;
        }
    }
    handle.tell(Command::Leave);
}

/// Returns where it will stand which signal has asked to stop; 0 as long as none has.
fn leave_on_signal(handle: Handle) -> anyhow::Result<Arc<AtomicI32>> {
    let stopped_by = Arc::new(AtomicI32::new(0));
    let stops = Arc::clone(&stopped_by);
    let stopped = move |signal, _| {
        stops.store(signal, Ordering::SeqCst);
        handle.tell(Command::LeaveNow);
        handle.wait_until_down(FAREWELL_TIMEOUT);
        signals::die_by(signal);
    };
    signals::watch(stopped, || ()).context("cannot listen to signals")?;
    Ok(stopped_by)
}

/// Lines of standard input.
struct Input(BufReader<Stdin>);

impl Input {
    /// The answer to the question for a name.
    fn name(&mut self, tagged: bool) -> anyhow::Result<Name> {
        let _ = write!(stderr(), "{NAME_QUESTION}");
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
            HAS_FAILED.store(true, Ordering::SeqCst);
            let _ = writeln!(stderr(), "gotcp: a line longer than {MAX_LINE} bytes was not sent");
        }
    }
}

/// Hands over what there is to show to the main thread, which may have to wait for whoever reads it.
struct Queue {
    sender: Sender<Vec<Spoken>>,
    /// Bytes that were handed over and are not written.
    waiting: Arc<AtomicUsize>,
}

impl Listener for Queue {
    fn show(&mut self, spoken: Vec<Spoken>) {
        self.waiting.fetch_add(size(&spoken), Ordering::SeqCst);
        // The main thread only stops to listen where it ends.
        let _ = self.sender.send(spoken);
    }

    fn has_room(&self) -> bool {
        self.waiting.load(Ordering::SeqCst) < MAX_WAITING
    }

    fn is_shown(&self) -> bool {
        self.waiting.load(Ordering::SeqCst) == 0
    }
}

fn size(spoken: &[Spoken]) -> usize {
    let bytes = spoken.iter().map(|item| match item {
        Spoken::Line { text, .. } | Spoken::Note(text) => text.len() + 1,
    });
    bytes.sum()
}

/// Writes what everyone hears to standard output and the rest to standard error, until there is no more to come.
fn write_all(
    queue: &Receiver<Vec<Spoken>>,
    waiting: &AtomicUsize,
    renderer: &Renderer,
    with_history: bool,
    handle: &Handle,
) -> io::Result<()> {
    let mut result = Ok(());
    for mut spoken in queue {
        let size = size(&spoken);
        if result.is_ok() {
            spoken.retain(|item| with_history || !is_history(item));
            result = write(&spoken, renderer);
            if result.is_err() {
                handle.tell(Command::Abandon);
            }
        }
        let before = waiting.fetch_sub(size, Ordering::SeqCst);
        if before >= MAX_WAITING && before - size < MAX_WAITING {
            handle.wake();
        }
    }
    result
}

/// Whether it was said before the user came, or announces that.
fn is_history(item: &Spoken) -> bool {
    match item {
        Spoken::Line { text, is_history, .. } => {
            *is_history || text.starts_with("--- the last ") && text.ends_with(" before you came:")
        }
        Spoken::Note(_) => false,
    }
}

/// Writes in order, whether both outputs end in the same place or not.
fn write(spoken: &[Spoken], renderer: &Renderer) -> io::Result<()> {
    let is_private = |item: &Spoken| match item {
        Spoken::Line { text, .. } => text.starts_with(PRIVATE),
        Spoken::Note(_) => true,
    };
    for run in spoken.chunk_by(|one, next| is_private(one) == is_private(next)) {
        let shown: String = run.iter().map(|item| render(item, renderer)).collect();
        if is_private(&run[0]) {
            // Nobody has to listen to this side of it.
            let _ = stderr().write_all(shown.as_bytes());
        } else {
            let mut out = stdout().lock();
            out.write_all(shown.as_bytes()).and_then(|()| out.flush())?;
        }
    }
    Ok(())
}

fn render(item: &Spoken, renderer: &Renderer) -> String {
    match item {
        Spoken::Line { text, is_history, own } => {
            if text.starts_with(ERROR) && text != EVICTED {
                HAS_FAILED.store(true, Ordering::SeqCst);
            }
            renderer.line(text, own, *is_history) + "\n"
        }
        Spoken::Note(text) => renderer.note(text),
    }
}
