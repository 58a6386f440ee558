//! What rustyline asks while keys are read: what to draw, what to complete.

use std::borrow::Cow;
use std::cell::RefCell;
use std::io::{Write, stdout};
use std::sync::{Arc, Mutex, PoisonError};

use anstream::adapter::strip_str;
use rustyline::completion::Completer;
use rustyline::highlight::{CmdKind, Highlighter};
use rustyline::hint::Hinter;
use rustyline::validate::Validator;
use rustyline::{Context, Helper};

use super::super::render::Renderer;
use super::complete::{Cycle, People};
use super::rows::{Layout, mask, wipe};
use super::screen::Screen;
use super::tty;
use super::window::{LEAVE, Window};

/// Answers rustyline, and remembers what it said.
pub struct Assistant {
    screen: Arc<Screen>,
    people: Arc<Mutex<People>>,
    renderer: Renderer,
    memory: RefCell<Memory>,
}

/// What rustyline said last, which it tells nobody once it is interrupted.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    /// The prompt that is up.
    pub prompt: String,
    /// What is typed before the cursor.
    pub before: String,
    /// What is typed behind it.
    pub after: String,
    /// Whether nobody is to see what is typed.
    is_hidden: bool,
    own: String,
    cycle: Cycle,
    /// The width of the terminal.
    columns: usize,
    /// The dim rows above the prompt.
    pub dim: usize,
    /// The rows above the window, if only a part of the draft is drawn.
    above: Option<usize>,
}

impl Assistant {
    /// An assistant that draws what `screen` has to show, and completes the names of `people`.
    #[must_use]
    pub fn new(screen: Arc<Screen>, people: Arc<Mutex<People>>, renderer: Renderer) -> Assistant {
        Assistant { screen, people, renderer, memory: RefCell::default() }
    }

    /// A prompt comes up, for somebody named `own`, with something typed before the cursor and behind it.
    pub fn begin(&self, before: &str, after: &str, own: &str, is_hidden: bool) {
        let mut memory = self.memory.borrow_mut();
        before.clone_into(&mut memory.before);
        after.clone_into(&mut memory.after);
        own.clone_into(&mut memory.own);
        memory.is_hidden = is_hidden;
        memory.columns = tty::size().0;
        (memory.above, memory.dim) = (None, 0);
    }

    /// What rustyline said last.
    #[must_use]
    pub fn memory(&self) -> Memory {
        self.memory.borrow().clone()
    }

    /// What wipes a draft of which a part is drawn, with all that was drawn above it; `None` where all of it is drawn.
    #[must_use]
    pub fn closed(&self) -> Option<String> {
        let Memory { above, columns, .. } = *self.memory.borrow();
        above.map(|above| self.without_window(above, columns))
    }

    fn without_window(&self, above: usize, columns: usize) -> String {
        format!("{LEAVE}{}", self.screen.recent(above, columns))
    }

    /// Draws a part of the draft behind what waits to be shown.
    fn draw_window(&self, window: &Window, memory: &mut Memory) -> String {
        let dim = self.dim(memory, window.above);
        let room = if memory.above.is_none() { wipe(memory.dim) + &window.room() } else { String::new() };
        let recent = self.screen.recent(window.above - dim.len(), memory.columns);
        let lines = recent + &self.screen.draw() + &dim.concat();
        memory.dim = 0;
        memory.above = Some(window.above);
        let painted = format!("{}{}", self.renderer.prompt(&window.head), window.body);
        let behind = window.behind(&strip_str(&lines).to_string(), &painted, memory.columns);
        format!("{}{room}{LEAVE}{lines}{behind}", self.screen.aside())
    }

    /// What the user has sent and the room has not said, with line ends.
    fn dim(&self, memory: &Memory, rows: usize) -> Vec<String> {
        let rows = self.screen.unheard(memory.columns, rows.saturating_sub(1));
        rows.iter().map(|row| self.renderer.unheard(row)).collect()
    }

    /// Draws the screen anew just before rustyline draws its prompt for a narrower terminal. Some terminals wrap the rows
    /// of the old prompt when they become narrower, and some cut them off: nobody knows where it stands. So it is wiped
    /// with all else, and the cursor put where rustyline believes it to be.
    fn adapt(&self) {
        let (columns, height) = tty::size();
        let mut memory = self.memory.borrow_mut();
        let before = std::mem::replace(&mut memory.columns, columns);
        let all = format!("{}{}{}", memory.prompt, memory.before, memory.after);
        if columns >= before || memory.above.is_some() {
            return;
        }
        if Layout::of(&all, columns).rows() == 1 && memory.dim == 0 {
            return;
        }
        memory.dim = 0;
        let rows = Layout::of(&all, before).rows();
        let below = rows - Layout::of(&format!("{}{}", memory.prompt, memory.before), before).rows();
        let recent = self.screen.recent(height.saturating_sub(rows), columns);
        let up = if below > 0 { format!("\x1b[{below}A") } else { String::new() };
        let drawn = format!("{LEAVE}{recent}{}{up}", "\n".repeat(rows - 1));
        // Where the terminal is gone, nobody is left to tell.
        let _ = stdout().write_all(drawn.as_bytes());
    }

    fn remember(&self, line: &str, position: usize) {
        let mut memory = self.memory.borrow_mut();
        line[..position].clone_into(&mut memory.before);
        line[position..].clone_into(&mut memory.after);
    }
}

impl Memory {
    /// The part of the draft that is to be drawn, if it is not all of it. (On Windows rustyline moves the cursor by other
    /// means, which no margin stops.)
    fn window(&self) -> Option<Window> {
        let size = (self.columns, tty::size().1);
        let shown = |text: &str| if self.is_hidden { mask(text) } else { text.to_owned() };
        Window::of(&self.prompt, &shown(&self.before), &shown(&self.after), size).filter(|_| cfg!(unix))
    }
}

impl Highlighter for Assistant {
    fn highlight_prompt<'b, 's: 'b, 'p: 'b>(&'s self, prompt: &'p str, is_default: bool) -> Cow<'b, str> {
        let mut memory = self.memory.borrow_mut();
        prompt.clone_into(&mut memory.prompt);
        if let Some(window) = memory.window() {
            return Cow::Owned(self.draw_window(&window, &mut memory));
        }
        let closed = memory.above.take().map(|above| self.without_window(above, memory.columns));
        let prompt = Layout::of(prompt, memory.columns).broken(prompt, 0);
        let lines = self.screen.draw();
        let dim = self.dim(&memory, tty::size().1 / 2);
        let mut drawn = self.screen.aside() + &closed.unwrap_or_default() + &wipe(memory.dim) + &lines + &dim.concat();
        memory.dim = dim.len();
        drawn.push_str(&if is_default { self.renderer.prompt(&prompt) } else { prompt });
        Cow::Owned(drawn)
    }

    fn highlight<'l>(&self, line: &'l str, position: usize) -> Cow<'l, str> {
        self.remember(line, position);
        let memory = self.memory.borrow();
        if memory.above.is_some() {
            // It is drawn already, with the prompt.
            return Cow::Borrowed("");
        }
        if memory.is_hidden {
            return Cow::Owned(mask(line));
        }
        let shown = format!("{}{line}", memory.prompt);
        Cow::Owned(Layout::of(&shown, memory.columns).broken(&shown, memory.prompt.len()))
    }

    fn highlight_char(&self, line: &str, position: usize, _kind: CmdKind) -> bool {
        self.remember(line, position);
        let memory = self.memory.borrow();
        memory.is_hidden || memory.above.is_some()
    }
}

impl Completer for Assistant {
    type Candidate = String;

    fn complete(&self, line: &str, position: usize, _: &Context<'_>) -> rustyline::Result<(usize, Vec<String>)> {
        let people = self.people.lock().unwrap_or_else(PoisonError::into_inner);
        let Memory { cycle, own, is_hidden, .. } = &mut *self.memory.borrow_mut();
        if *is_hidden {
            return Ok((position, Vec::new()));
        }
        let completed = cycle.complete(&line[..position], &people, own);
        Ok(completed.map_or((position, Vec::new()), |(start, candidate)| (start, vec![candidate])))
    }
}

impl Hinter for Assistant {
    type Hint = String;

    fn hint(&self, _: &str, _: usize, _: &Context<'_>) -> Option<String> {
        self.adapt();
        None
    }
}

impl Validator for Assistant {}

impl Helper for Assistant {}
