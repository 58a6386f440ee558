//! The client with a prompt: what people use.

use std::io::{self, IsTerminal, Write, stdout};
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context;
use jiff::Zoned;

use super::complete::People;
use super::hub::Hub;
use super::link::{self, Listener, Spoken};
use super::modes::{GiveBack, Modes};
use super::paste::{Input, is_yes};
use super::prompt::{Prompt, Typed};
use super::render::Renderer;
use super::screen::Screen;
use super::session::{Session, parse_name};
use super::signals::Cause;
use super::waker::Waker;
use super::{NAME_QUESTION, panics, plain, session_for, signals};
use crate::cli::ClientArgs;
use crate::protocol::command::is_exit;
use crate::protocol::name::Name;
use crate::protocol::notice::PRIVATE;
use crate::protocol::text::is_blank;

/// Time in which a second Ctrl-C leaves.
const TWICE: Duration = Duration::from_secs(2);

/// Time for what was typed last to be heard before the client leaves all the same.
const DELIVERY_TIMEOUT: Duration = Duration::from_secs(2);

/// Time to say goodbye.
const FAREWELL_TIMEOUT: Duration = Duration::from_secs(1);

/// Talks with a person at a terminal.
///
/// # Errors
/// Fails as [`link::stay`] does, and when the name will not do.
pub fn run(args: &ClientArgs, name: Option<Name>, colors: bool) -> anyhow::Result<()> {
    let screen = Arc::new(Screen::default());
    let people = Arc::new(Mutex::new(People::default()));
    let waker = Arc::new(Waker::default());
    let modes = Modes::find();
    let _given_back = GiveBack(modes.clone());
    let opened = Prompt::open(colors, Arc::clone(&screen), Arc::clone(&people), Arc::clone(&waker), modes.clone());
    let Some(prompt) = opened else { return plain::run(args, name, colors) };
    let stop = Arc::new(Stop::default());
    watch_signals(&stop, &waker, modes)?;
    let renderer = Renderer { colors, bell: !args.no_bell, day: None };
    let desk = Desk { args, prompt, screen, people, waker, stop: Arc::clone(&stop), notes: renderer };
    let result = desk.serve(name);
    match stop.signal() {
        Some(signal) => signals::die_by(signal),
        None => return result,
    }
    Ok(())
}

/// Word from outside that it is time to stop.
#[derive(Default)]
struct Stop {
    signal: AtomicI32,
    /// Whether there is no prompt just now: nobody would notice, and a Ctrl-C is a signal like any other.
    is_unprompted: AtomicBool,
    /// Whether the user is leaving already.
    is_leaving: AtomicBool,
}

impl Stop {
    fn signal(&self) -> Option<i32> {
        Some(self.signal.load(Ordering::SeqCst)).filter(|&signal| signal != 0)
    }
}

fn watch_signals(stop: &Arc<Stop>, waker: &Arc<Waker>, modes: Modes) -> anyhow::Result<()> {
    let (stop, waker) = (Arc::clone(stop), Arc::clone(waker));
    signals::watch(move |signal, cause| {
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
        waker.wake();
    })
    .context("cannot listen to signals")
}

/// Where a user sits: the prompt, and what it takes to make sense of what is typed there.
struct Desk<'a> {
    args: &'a ClientArgs,
    prompt: Prompt,
    screen: Arc<Screen>,
    people: Arc<Mutex<People>>,
    waker: Arc<Waker>,
    stop: Arc<Stop>,
    notes: Renderer,
}

/// Why the prompt is given up.
enum Reason {
    /// The user wants to leave.
    Leaves,
    /// A signal came.
    Stopped,
    /// The connection is gone for good.
    Ended(anyhow::Result<()>),
}

impl Desk<'_> {
    fn serve(mut self, name: Option<Name>) -> anyhow::Result<()> {
        let Some(name) = name.or_else(|| self.ask_name()) else { return Ok(()) };
        let hub = Arc::new(Hub::new(session_for(name, self.args)));
        if let Err(why) = self.prompt.use_history() {
            self.note(&format!("what you send is not kept for later: {why}"));
        }
        let ended = self.connect(&hub)?;
        let reason = self.converse(&hub, &ended);
        self.waker.retire();
        self.stop.is_leaving.store(true, Ordering::SeqCst);
        self.stop.is_unprompted.store(true, Ordering::SeqCst);
        let Desk { args, prompt, screen, notes, .. } = self;
        prompt.close();
        match reason {
            Reason::Ended(result) => return result,
            Reason::Leaves => {
                screen.show(notes.note(&format!("closing the connection to {}", args.server)));
                hub.with(Session::leave);
                if let Ok(result) = ended.recv_timeout(DELIVERY_TIMEOUT) {
                    return result;
                }
            }
            Reason::Stopped => {}
        }
        let unheard = hub.with(|session| session.unheard());
        hub.with(Session::leave_now);
        if unheard > 0 {
            screen.show(notes.note(&format!("{unheard} of your lines did not arrive")));
        }
        ended.recv_timeout(FAREWELL_TIMEOUT).unwrap_or(Ok(()))
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

    /// Lets the connection begin, and waits until it has.
    fn connect(&self, hub: &Arc<Hub>) -> anyhow::Result<Receiver<anyhow::Result<()>>> {
        let (address, reconnect, linked) = (self.args.server.clone(), !self.args.no_reconnect, Arc::clone(hub));
        let mut window = Window {
            screen: Arc::clone(&self.screen),
            people: Arc::clone(&self.people),
            waker: Arc::clone(&self.waker),
            renderer: Renderer { day: None, ..self.notes },
            has_screen: stdout().is_terminal(),
        };
        let (ends, ended) = mpsc::channel();
        let is_over = Arc::new(AtomicBool::new(false));
        let tells_over = Arc::clone(&is_over);
        let link = move || {
            let result = panics::catch(|| link::stay(&address, reconnect, &linked, &mut window));
            let _ = ends.send(result);
            tells_over.store(true, Ordering::SeqCst);
            linked.with(|_| ());
            window.waker.wake();
        };
        thread::Builder::new().name("link".into()).spawn(link).context("cannot start")?;
        self.prompt.rest();
        self.stop.is_unprompted.store(true, Ordering::SeqCst);
        hub.wait_until(None, |session| !session.is_down() || is_over.load(Ordering::SeqCst));
        self.stop.is_unprompted.store(false, Ordering::SeqCst);
        Ok(ended)
    }

    fn converse(&mut self, hub: &Hub, ended: &Receiver<anyhow::Result<()>>) -> Reason {
        let mut interrupted: Option<Instant> = None;
        loop {
            if let Ok(result) = ended.try_recv() {
                return Reason::Ended(result);
            }
            if self.stop.signal().is_some() {
                return Reason::Stopped;
            }
            let (name, needs_name) = hub.with(|session| (session.name().to_owned(), session.refused().is_some()));
            let question = if needs_name { NAME_QUESTION.into() } else { format!("You({name})> ") };
            match self.prompt.read(&question, &name) {
                Typed::Text(text) if is_exit(text.as_bytes()) => return Reason::Leaves,
                Typed::Text(text) if needs_name => self.choose_name(hub, &text),
                Typed::Text(text) => self.send(hub, &text),
                Typed::End => return Reason::Leaves,
                Typed::Interrupt { had_text: false } => {
                    if interrupted.replace(Instant::now()).is_some_and(|at| at.elapsed() < TWICE) {
                        return Reason::Leaves;
                    }
                    self.note("to leave, press Ctrl-C again, or Ctrl-D, or type !exit");
                }
                Typed::Interrupt { had_text: true } => interrupted = None,
                Typed::Woken => {}
            }
        }
    }

    fn choose_name(&self, hub: &Hub, text: &str) {
        match parse_name(text, !self.args.no_tag) {
            Ok(name) => hub.with(|session| session.choose(name)),
            Err(why) => self.note(&format!("that name will not do: {why}")),
        }
    }

    fn send(&mut self, hub: &Hub, text: &str) {
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
        self.prompt.remember(text);
        let waiting = hub.with(|session| {
            match input {
                Input::Line(line) => session.say(line.as_bytes()),
                Input::Lines(lines) => lines.iter().for_each(|line| session.say_literally(line.as_bytes())),
            }
            session.is_down().then(|| session.unheard())
        });
        if let Some(count) = waiting {
            self.note(&format!("{count} of your lines will be sent when the connection is back"));
        }
    }

    fn note(&self, text: &str) {
        self.screen.show(self.notes.note(text));
    }
}

/// Where the conversation is shown: above the prompt. Where standard output leads elsewhere, what everyone hears goes
/// there, as it is.
struct Window {
    screen: Arc<Screen>,
    people: Arc<Mutex<People>>,
    waker: Arc<Waker>,
    renderer: Renderer,
    has_screen: bool,
}

impl Listener for Window {
    fn show(&mut self, spoken: &[Spoken]) -> io::Result<()> {
        let now = Zoned::now().datetime();
        let (mut shown, mut written) = (String::new(), String::new());
        let mut people = self.people.lock().unwrap_or_else(PoisonError::into_inner);
        for item in spoken {
            match item {
                Spoken::Line { text, is_history, own } => {
                    people.heard(text);
                    if self.has_screen || text.starts_with(PRIVATE) {
                        shown.push_str(&self.renderer.stamped(text, own, *is_history, now));
                    } else {
                        written.push_str(&self.renderer.line(text, own, *is_history));
                        written.push('\n');
                    }
                }
                Spoken::Note(text) => shown.push_str(&self.renderer.note(text)),
            }
        }
        drop(people);
        if !shown.is_empty() {
            self.screen.show(shown);
        }
        if written.is_empty() {
            return Ok(());
        }
        let mut out = stdout().lock();
        out.write_all(written.as_bytes()).and_then(|()| out.flush())
    }

    fn renamed(&mut self) {
        self.waker.wake();
    }

    fn refused(&mut self, why: &str) -> bool {
        self.screen.show(self.renderer.note(&format!("{why}; type another one")));
        self.waker.wake();
        true
    }
}
