//! The prompt: rustyline, told when to come up, and cleared away after.
//!
//! [`screen`] is what is shown above it, [`assistant`] what rustyline asks while keys are read, and [`waker`] what makes it
//! return early. [`rush`] sees every key first, and [`focus`] those that are none. [`complete`], [`paste`], [`rows`], [`unheard`] and [`window`] are pure;
//! [`modes`] and [`tty`] ask the system.

pub mod assistant;
pub mod complete;
pub mod focus;
pub mod modes;
pub mod paste;
pub mod rows;
pub mod rush;
pub mod screen;
pub mod tty;
pub mod unheard;
pub mod waker;
pub mod window;

use std::io::{ErrorKind, Write, stdout};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use rustyline::error::ReadlineError;
use rustyline::history::FileHistory;
use rustyline::{
    Cmd, ColorMode, CompletionType, ConditionalEventHandler, Config, Editor, Event, EventContext, EventHandler,
    KeyEvent, RepeatCount,
};

use super::render::Renderer;
use super::signals;
use crate::state;
use assistant::Assistant;
use complete::People;
use focus::Focus;
use modes::Modes;
use rows::{Layout, wipe};
use rush::{Keys, Rush};
use screen::Screen;
use waker::Waker;

/// How many lines that the user sent in earlier sessions are kept.
const MAX_HISTORY: usize = 1000;

/// How long an Escape waits for the rest of a key's sequence, in milliseconds.
const ESCAPE_TIME: u16 = 100;

/// A line at the bottom of the terminal in which the user types.
pub struct Prompt {
    editor: Editor<Assistant, FileHistory>,
    screen: Arc<Screen>,
    waker: Arc<Waker>,
    ringer: JoinHandle<()>,
    modes: Modes,
    sleeps: Arc<AtomicBool>,
    rush: Arc<Mutex<Rush>>,
    focus: Arc<Focus>,
    history: Option<PathBuf>,
    /// What stands behind the prompt when it comes up: before the cursor, and behind it.
    draft: (String, String),
}

/// What came of a prompt.
#[derive(Debug, PartialEq, Eq)]
pub enum Typed {
    /// What stood there at Enter.
    Text(String),
    /// Ctrl-C, and whether anything stood there.
    Interrupt {
        /// Whether it did.
        had_text: bool,
    },
    /// Ctrl-D, or the terminal is gone.
    End,
    /// Nothing yet: somebody has news. What stood there stands there again the next time.
    Woken,
}

impl Prompt {
    /// Opens the terminal. `None` where it cannot do what a prompt needs.
    #[must_use]
    pub fn open(
        colors: bool,
        screen: Arc<Screen>,
        people: Arc<Mutex<People>>,
        waker: Arc<Waker>,
        focus: Arc<Focus>,
        modes: Modes,
    ) -> Option<Prompt> {
        let config = Config::builder()
            // What is coloured is for the assistant to say, which is asked only where there are colours.
            .color_mode(ColorMode::Forced)
            .completion_type(CompletionType::List)
            .keyseq_timeout(Some(ESCAPE_TIME))
            .max_history_size(MAX_HISTORY)
            .ok()?
            .build();
        let mut editor = Editor::with_config(config).ok()?;
        let printer = editor.create_external_printer().ok()?;
        let renderer = Renderer { colors, bell: false, day: None };
        editor.set_helper(Some(Assistant::new(Arc::clone(&screen), people, renderer)));
        let sleeps = Arc::new(AtomicBool::new(false));
        let sleeper = EventHandler::Conditional(Box::new(Sleeper(Arc::clone(&sleeps))));
        editor.bind_sequence(KeyEvent::ctrl('Z'), sleeper);
        let rush = Arc::<Mutex<Rush>>::default();
        let keys = Keys { rush: Arc::clone(&rush), focus: Arc::clone(&focus), waker: Arc::clone(&waker) };
        editor.bind_sequence(Event::Any, EventHandler::Conditional(Box::new(keys)));
        let (bell, woken) = (Arc::clone(&screen), Arc::clone(&waker));
        let ring = move || bell.ring(printer, || woken.wake());
        let ringer = thread::Builder::new().name("ringer".into()).spawn(ring).ok()?;
        let draft = Default::default();
        Some(Prompt { editor, screen, waker, ringer, modes, sleeps, rush, focus, history: None, draft })
    }

    /// Recalls what was sent in earlier sessions, and keeps what is sent in this one.
    ///
    /// # Errors
    /// Says why that cannot be done.
    pub fn use_history(&mut self) -> Result<(), String> {
        let file = match state::directory().map(|directory| directory.join("history")) {
            Ok(file) => file,
            Err(error) if state::has_no_place(&error) => return Ok(()),
            Err(error) => return Err(error.to_string()),
        };
        match self.editor.load_history(&file) {
            Err(ReadlineError::Io(error)) if error.kind() == ErrorKind::NotFound => {}
            result => result.map_err(|error| format!("{}: {error}", file.display()))?,
        }
        self.history = Some(file);
        Ok(())
    }

    /// Keeps a text to be recalled.
    pub fn remember(&mut self, text: &str) {
        let _ = self.editor.add_history_entry(text);
        if let Some(file) = &self.history {
            // The text is recalled in this session anyway.
            let _ = self.editor.append_history(file);
        }
    }

    /// Lets the user type behind `prompt`. Afterwards nothing of it is on the screen any more: what was sent is shown
    /// once, when it comes back.
    pub fn read(&mut self, prompt: &str, own: &str) -> Typed {
        self.edit(prompt, own, false)
    }

    /// Lets the user type what nobody is to see.
    pub fn read_hidden(&mut self, prompt: &str) -> Typed {
        self.edit(prompt, "", true)
    }

    fn edit(&mut self, prompt: &str, own: &str, is_hidden: bool) -> Typed {
        if self.waker.acknowledge() {
            return Typed::Woken;
        }
        self.modes.quiet();
        if cfg!(unix) && self.focus.is_new(Instant::now()) {
            write(focus::ASK);
        }
        let (left, right) = std::mem::take(&mut self.draft);
        if let Some(assistant) = self.editor.helper() {
            assistant.begin(&left, &right, own, is_hidden);
        }
        let result = self.editor.readline_with_initial(prompt, (&left, &right));
        self.screen.prompt_is_down();
        let sleeps = self.sleeps.swap(false, Ordering::Relaxed);
        let was_woken = self.waker.acknowledge() || sleeps;
        let memory = self.editor.helper().map(Assistant::memory).unwrap_or_default();
        let has_entered = was_woken && rush::lock(&self.rush).is_due(Instant::now());
        let typed = match result {
            Ok(text) => Typed::Text(text),
            Err(ReadlineError::Interrupted) if has_entered => Typed::Text(format!("{}{}", memory.before, memory.after)),
            Err(ReadlineError::Interrupted) if !was_woken => {
                Typed::Interrupt { had_text: !memory.before.is_empty() || !memory.after.is_empty() }
            }
            Err(ReadlineError::Interrupted | ReadlineError::Signal(_)) => Typed::Woken,
            // Not everything that can be typed or pasted is UTF-8.
            Err(ReadlineError::Io(error)) if error.kind() == ErrorKind::InvalidData => Typed::Woken,
            Err(_) => Typed::End,
        };
        let text = match &typed {
            Typed::Text(text) => text.clone(),
            _ => format!("{}{}", memory.before, memory.after),
        };
        match self.editor.helper().and_then(Assistant::closed) {
            Some(closed) => write(&closed),
            None => self.wipe(&format!("{}{text}", memory.prompt), memory.dim),
        }
        if typed == Typed::Woken {
            self.draft = (memory.before, memory.after);
        } else {
            rush::lock(&self.rush).forget();
        }
        if sleeps {
            self.focus.leave();
            self.modes.restore();
            signals::sleep();
        }
        typed
    }

    /// Takes what stands behind the next prompt, and puts another text there: before the cursor, and behind it.
    pub fn swap_draft(&mut self, other: &mut (String, String)) {
        std::mem::swap(&mut self.draft, other);
    }

    /// Lets a text stand behind the next prompt.
    pub fn set_draft(&mut self, text: String) {
        self.draft = (text, String::new());
    }

    /// Gives the terminal back. What is still shown goes there without a prompt.
    pub fn close(self) {
        let Prompt { editor, screen, ringer, modes, .. } = self;
        // A ringer that waits for rustyline would wait for ever.
        drop(editor);
        modes.restore();
        screen.close(Box::new(stdout()));
        let _ = ringer.join();
    }

    /// Wipes the prompt, and the dim rows above it.
    fn wipe(&mut self, shown: &str, dim: usize) {
        let Some((columns, lines)) = self.editor.dimensions() else { return };
        let rows = Layout::of(shown, columns.into()).rows() + dim;
        // What has scrolled out of sight cannot be wiped, and what stands there instead must not be.
        if rows < lines.into() {
            write(&wipe(rows));
        }
    }
}

fn write(drawn: &str) {
    let mut out = stdout();
    // Where the terminal is gone, nobody is left to tell.
    let _ = out.write_all(drawn.as_bytes()).and_then(|()| out.flush());
}

/// Ctrl-Z. (rustyline would leave the terminal to the shell the way it found it itself: quiet.)
struct Sleeper(Arc<AtomicBool>);

impl ConditionalEventHandler for Sleeper {
    fn handle(&self, _: &Event, _: RepeatCount, _: bool, _: &EventContext<'_>) -> Option<Cmd> {
        self.0.store(true, Ordering::Relaxed);
        Some(Cmd::Interrupt)
    }
}
