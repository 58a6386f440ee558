//! The client with a prompt: what people use.

use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context;
use jiff::Zoned;

use super::handle::{Command, Handle};
use super::network::{self, Listener, Spoken};
use super::prompt::complete::People;
use super::prompt::focus::{Focus, notice};
use super::prompt::modes::{GiveBack, Modes};
use super::prompt::paste::{Input, is_yes};
use super::prompt::screen::Screen;
use super::prompt::tty;
use super::prompt::waker::Waker;
use super::prompt::{Prompt, Typed};
use super::render::{NOTE_START, Renderer, is_for, start};
use super::session;
use super::signals::Cause;
use super::wanted::parse_name;
use super::wrap::wrapped;
use super::{NAME_QUESTION, Start, crowd, plain, signals};
use crate::cli::ClientArgs;
use crate::protocol::command;
use crate::protocol::name::Name;
use crate::protocol::notice::PRIVATE;
use crate::protocol::text::is_blank;

/// What somebody says who does not want to wait for the next try to connect.
const CONNECT: &str = "!connect";

/// What somebody is asked before they get into a room with a password.
const PASSWORD_QUESTION: &str = "Its password: ";

/// Time in which a second Ctrl-C leaves.
const TWICE: Duration = Duration::from_secs(2);

/// Time for what was typed last to be heard before the client leaves all the same.
const DELIVERY_TIMEOUT: Duration = Duration::from_secs(2);

/// Time to say goodbye.
const FAREWELL_TIMEOUT: Duration = Duration::from_secs(1);

/// Time for everything after a signal: longer than a goodbye.
const STOP_TIMEOUT: Duration = Duration::from_millis(1500);

/// Talks with a person at a terminal.
///
/// # Errors
/// Fails as [`network::start`] says, and when the name will not do.
pub fn run(args: &ClientArgs, name: Option<Name>, colors: bool) -> anyhow::Result<ExitCode> {
    let screen = Arc::new(Screen::default());
    let people = Arc::new(Mutex::new(People::default()));
    let waker = Arc::new(Waker::default());
    let focus = Arc::new(Focus::default());
    let modes = Modes::find();
    let _given_back = GiveBack(modes.clone());
    let opened = Prompt::open(
        colors,
        Arc::clone(&screen),
        Arc::clone(&people),
        Arc::clone(&waker),
        Arc::clone(&focus),
        modes.clone(),
    );
    let Some(prompt) = opened else { return plain::run(args, name, colors) };
    let stop = Arc::new(Stop::default());
    watch_signals(&stop, &waker, modes)?;
    let renderer = Renderer { colors, bell: !args.no_bell, day: None };
    let desk = Desk { args, prompt, screen, people, waker, focus, stop: Arc::clone(&stop), notes: renderer };
    let result = desk.serve(name);
    match stop.signal() {
        Some(signal) => signals::die_by(signal),
        None => result?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Word from outside that it is time to stop.
#[derive(Default)]
struct Stop {
    signal: AtomicI32,
    /// Whether there is no prompt just now: nobody would notice, and a Ctrl-C is a signal like any other.
    is_unprompted: AtomicBool,
    /// Whether the user is leaving already.
    is_leaving: AtomicBool,
    handle: OnceLock<Handle>,
}

impl Stop {
    fn signal(&self) -> Option<i32> {
        Some(self.signal.load(Ordering::SeqCst)).filter(|&signal| signal != 0)
    }
}

fn watch_signals(stop: &Arc<Stop>, waker: &Arc<Waker>, modes: Modes) -> anyhow::Result<()> {
    let (stop, waker) = (Arc::clone(stop), Arc::clone(waker));
    let (redrawn, has_no_prompt) = (Arc::clone(&waker), Arc::clone(&stop));
    let continued = move || {
        // The terminal was somebody else's meanwhile: its modes and the row of the prompt are not ours any more.
        if !has_no_prompt.is_unprompted.load(Ordering::SeqCst) {
            redrawn.wake();
        }
    };
    let stopped = move |signal, cause| {
        let is_unprompted = stop.is_unprompted.load(Ordering::SeqCst);
        let has_begun = stop.is_leaving.load(Ordering::SeqCst) || stop.signal().is_some();
        let is_old = match cause {
            Cause::Key => !is_unprompted || waker.may_have_interrupted(),
            Cause::HangUp => has_begun,
            Cause::Request => false,
        };
        if is_old {
            return;
        }
        stop.signal.store(signal, Ordering::SeqCst);
        // Whoever asks again does not want to wait for what was begun.
        if has_begun || is_unprompted {
            modes.restore();
            signals::die_by(signal);
        }
        if let Some(handle) = stop.handle.get() {
            handle.tell(Command::LeaveNow);
        }
        waker.wake();
        // A terminal that nobody reads keeps the prompt from ever coming to an end.
        let modes = modes.clone();
        let _ = thread::Builder::new().name("deadline".into()).spawn(move || {
            thread::sleep(STOP_TIMEOUT);
            modes.restore();
            signals::die_by(signal);
        });
    };
    signals::watch(stopped, continued).context("cannot listen to signals")
}

/// Where a user sits: the prompt, and what it takes to make sense of what is typed there.
struct Desk<'a> {
    args: &'a ClientArgs,
    prompt: Prompt,
    screen: Arc<Screen>,
    people: Arc<Mutex<People>>,
    waker: Arc<Waker>,
    focus: Arc<Focus>,
    stop: Arc<Stop>,
    notes: Renderer,
}

/// What the user is asked before they can talk.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Question {
    Nothing,
    Name,
    Password,
}

impl Question {
    fn of(status: &session::Status) -> Question {
        match status {
            session::Status { is_locked: true, .. } => Question::Password,
            session::Status { refused: Some(_), .. } => Question::Name,
            _ => Question::Nothing,
        }
    }
}

/// Why the prompt is given up.
enum Reason {
    /// The user wants to leave, perhaps with some words.
    Leaves(Option<String>),
    /// A signal came.
    Stopped,
    /// The connection is gone for good.
    Ended(anyhow::Result<()>),
}

impl Desk<'_> {
    fn serve(mut self, name: Option<Name>) -> anyhow::Result<()> {
        let Some(name) = name.or_else(|| self.ask_name()) else { return Ok(()) };
        if !self.args.no_history
            && let Err(why) = self.prompt.use_history()
        {
            self.note(&format!("what you send is not kept for later: {why}"));
        }
        let handle = self.connect(name)?;
        let _ = self.stop.handle.set(handle.clone());
        let reason = self.converse(&handle);
        self.waker.retire();
        self.stop.is_leaving.store(true, Ordering::SeqCst);
        self.stop.is_unprompted.store(true, Ordering::SeqCst);
        let Desk { args, prompt, screen, notes, .. } = self;
        prompt.close();
        match reason {
            Reason::Ended(result) => return result,
            Reason::Leaves(farewell) => {
                let server = &args.server.addresses[handle.status().server];
                let note = format!("closing the connection to {server}");
                screen.show(notes.stamped_note(&note, Zoned::now().datetime()));
                handle.tell(farewell.map_or(Command::Leave, |words| Command::Say(words.into_bytes())));
                if let Some(result) = handle.result(DELIVERY_TIMEOUT) {
                    return result;
                }
            }
            Reason::Stopped => {}
        }
        let confirmed = handle.status().confirmed();
        handle.tell(Command::LeaveNow);
        handle.result(FAREWELL_TIMEOUT).unwrap_or(Ok(())).and(confirmed)
    }

    /// The name to join under; `None` for a user who would rather leave.
    fn ask_name(&mut self) -> Option<Name> {
        loop {
            match self.prompt.read(NAME_QUESTION, "") {
                Typed::Text(text) => match parse_name(&text, !self.args.no_tag) {
                    Ok(name) => return Some(name),
                    Err(why) => self.note(&format!("that name will not do: {why}")),
                },
                Typed::Interrupt { had_text: true } => {}
                Typed::Woken if self.stop.signal().is_none() => {}
                Typed::Interrupt { .. } | Typed::End | Typed::Woken => return None,
            }
        }
    }

    /// Lets the connection begin.
    fn connect(&self, name: Name) -> anyhow::Result<Handle> {
        let window = Window {
            screen: Arc::clone(&self.screen),
            people: Arc::clone(&self.people),
            waker: Arc::clone(&self.waker),
            focus: Arc::clone(&self.focus),
            renderer: Renderer { day: None, ..self.notes },
        };
        network::start(!self.args.no_reconnect, Start::new(name, self.args)?, Box::new(window))
    }

    fn converse(&mut self, handle: &Handle) -> Reason {
        let mut interrupted: Option<Instant> = None;
        // What is typed for one question is none for the other.
        let (mut asked, mut aside) = (Question::Nothing, <(String, String)>::default());
        loop {
            if let Some(result) = handle.result(Duration::ZERO) {
                return Reason::Ended(result);
            }
            if self.stop.signal().is_some() {
                return Reason::Stopped;
            }
            let status = handle.status();
            let (standing, status) = (status.standing(), status.session);
            let before = std::mem::replace(&mut asked, Question::of(&status));
            if asked != before {
                let mut typed = std::mem::take(&mut aside);
                self.prompt.swap_draft(&mut typed);
                if before == Question::Nothing {
                    aside = typed;
                }
            }
            let typed = match asked {
                Question::Password => self.prompt.read_hidden(PASSWORD_QUESTION),
                Question::Name => self.prompt.read(NAME_QUESTION, &status.name),
                Question::Nothing => self.prompt.read(&format!("You({}{standing})> ", status.name), &status.name),
            };
            match typed {
                Typed::Text(text) if is_exit(&text) => return Reason::Leaves(Some(text)),
                Typed::Text(text) if !standing.is_empty() && text.trim() == CONNECT => handle.tell(Command::Connect),
                // The connection was back before that was typed.
                Typed::Text(text) if asked == Question::Nothing && text.trim() == CONNECT => {
                    self.note("you are connected");
                }
                Typed::Text(text) => match asked {
                    Question::Password if is_blank(&text) => {}
                    Question::Password => {
                        let word = text.lines().next().unwrap_or_default().trim();
                        handle.tell(Command::Unlock(word.into()));
                    }
                    Question::Name => self.choose_name(handle, &text),
                    Question::Nothing => self.send(handle, &text, &status.name),
                },
                Typed::End => return Reason::Leaves(None),
                Typed::Interrupt { had_text: false } => {
                    if interrupted.replace(Instant::now()).is_some_and(|at| at.elapsed() < TWICE) {
                        return Reason::Leaves(None);
                    }
                    self.note("to leave, press Ctrl-C again, or Ctrl-D, or type !exit");
                }
                Typed::Interrupt { had_text: true } => interrupted = None,
                Typed::Woken => {}
            }
        }
    }

    fn choose_name(&self, handle: &Handle, text: &str) {
        match parse_name(text, !self.args.no_tag) {
            Ok(name) => handle.tell(Command::Choose(name)),
            Err(why) => self.note(&format!("that name will not do: {why}")),
        }
    }

    fn send(&mut self, handle: &Handle, text: &str, own: &str) {
        if is_blank(text) {
            return;
        }
        let input = Input::parse(text);
        if let Some(question) = input.question()
            && !matches!(self.prompt.read(&question, ""), Typed::Text(answer) if is_yes(&answer))
        {
            // There to be changed, or cleared.
            self.prompt.set_draft(text.to_owned());
            return;
        }
        if !command::is_secret(text) {
            self.prompt.remember(text);
        }
        match input {
            Input::Line(line) => {
                self.screen.send(line, false, own);
                handle.tell(Command::Say(line.into()));
            }
            Input::Lines(lines) => {
                for line in lines {
                    self.screen.send(line, true, own);
                    handle.tell(Command::SayLiterally(line.into()));
                }
            }
        }
    }

    fn note(&self, text: &str) {
        let note = self.notes.stamped_note(text, Zoned::now().datetime());
        self.screen.show(wrapped(&note, tty::size().0, NOTE_START));
    }
}

/// Whether a line that was typed asks to leave.
fn is_exit(text: &str) -> bool {
    !text.contains('\n') && command::Command::parse(text).is_exit()
}

/// What may be a line of the user's that the room has heard, or an answer to one.
fn said_now(spoken: &Spoken) -> Option<&str> {
    match spoken {
        Spoken::Line { text, is_history: false, .. } => Some(text),
        Spoken::Line { .. } | Spoken::Note(_) => None,
    }
}

/// Where the conversation is shown: above the prompt.
struct Window {
    screen: Arc<Screen>,
    people: Arc<Mutex<People>>,
    waker: Arc<Waker>,
    focus: Arc<Focus>,
    renderer: Renderer,
}

impl Listener for Window {
    fn show(&mut self, spoken: Vec<Spoken>) {
        let (now, columns) = (Zoned::now().datetime(), tty::size().0);
        let mut shown = String::new();
        // Nothing that is sent from here on is in it.
        let said: Vec<_> = if self.screen.is_heard() {
            Vec::new()
        } else {
            spoken.iter().filter_map(said_now).map(str::to_owned).collect()
        };
        let mut people = self.people.lock().unwrap_or_else(PoisonError::into_inner);
        for item in &spoken {
            if let Spoken::Line { text, .. } = item {
                people.heard(text);
            }
        }
        drop(people);
        if self.renderer.bell && self.focus.is_away() {
            let for_user = spoken.iter().rev().find_map(|item| match item {
                Spoken::Line { text, is_history: false, own } if is_for(text, own) => Some(text),
                _ => None,
            });
            if let Some(text) = for_user
                && self.focus.wants_notice(Instant::now())
            {
                self.screen.tell(notice(text.trim_start_matches(PRIVATE)));
            }
        }
        for item in &crowd::fold(spoken) {
            match item {
                Spoken::Line { text, is_history, own } => {
                    let line = self.renderer.stamped(text, own, *is_history, now);
                    shown.push_str(&wrapped(&line, columns, start(text)));
                }
                Spoken::Note(text) => {
                    shown.push_str(&wrapped(&self.renderer.stamped_note(text, now), columns, NOTE_START));
                }
            }
        }
        if !shown.is_empty() {
            self.screen.show_heard(shown, |unheard| said.iter().filter(|line| unheard.hear(line)).count() > 0);
        }
    }

    fn settled(&mut self, lines: u64) {
        self.screen.show_heard(String::new(), |unheard| unheard.settle(lines));
    }

    fn is_shown(&self) -> bool {
        self.screen.is_empty()
    }

    fn renamed(&mut self) {
        self.waker.wake();
    }

    fn refused(&mut self, why: &str) -> bool {
        self.show(vec![Spoken::Note(format!("{why}; type another one"))]);
        self.waker.wake();
        true
    }

    fn locked(&mut self, why: Option<&str>) -> bool {
        let why = why.map_or("this room has a password".into(), |why| format!("{why}; type another one"));
        self.show(vec![Spoken::Note(why)]);
        self.waker.wake();
        true
    }
}
