//! A person at a terminal: keys go in, and what is on the screen can be looked at.

use std::fs::File;
use std::io::{Read, Write};
use std::num::NonZeroU16;
use std::os::fd::{AsFd, OwnedFd};
use std::process::{Child, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, poll};
use nix::sys::signal::{Signal, kill, killpg};
use nix::sys::termios::{SetArg, Termios, tcgetattr, tcsetattr};
use nix::unistd::Pid;
use pty_process::Size;
use pty_process::blocking::{Command, Pts, open};
use tempfile::TempDir;

/// Time for anything to happen that is bound to.
const SOON: Duration = Duration::from_secs(30);

/// The longest pause between two pieces of what is drawn at once, in milliseconds.
const SETTLING: u8 = 3;

/// The most pieces that are drawn before anybody looks.
const MAX_PIECES: usize = 20;

/// Lines above the screen that are remembered.
const SCROLLBACK: usize = 20_000;

/// The client in a terminal of its own.
pub struct Terminal {
    child: Child,
    keys: File,
    size: Arc<File>,
    /// Kept open, so that the terminal outlives the client and its modes can be looked at.
    _pts: Pts,
    /// The client writes there for as long as it runs, and it may outlive its setup.
    _home: Arc<TempDir>,
    display: Arc<Mutex<Display>>,
    before: Termios,
    /// Whether anybody looks at what is written.
    is_read: Arc<AtomicBool>,
}

/// What the client has drawn.
struct Display {
    parser: vt100::Parser,
    raw: Vec<u8>,
}

/// How to start the client.
pub struct Setup {
    pub program: String,
    pub args: Vec<String>,
    pub env: Vec<(&'static str, String)>,
    pub stdout: Option<Stdio>,
    pub rows: u16,
    pub columns: u16,
    /// The folder for its files.
    pub home: Arc<TempDir>,
}

impl Setup {
    /// A client of the server at `address`, with a name that has no tag.
    pub fn new(address: &str) -> Setup {
        let args = ["client", "--server", address, "--username", "carol", "--no-tag"];
        Setup {
            program: env!("CARGO_BIN_EXE_gotcp").to_owned(),
            args: args.map(str::to_owned).to_vec(),
            env: Vec::new(),
            stdout: None,
            rows: 24,
            columns: 80,
            home: Arc::new(TempDir::new().unwrap()),
        }
    }

    pub fn arg(mut self, arg: &str) -> Setup {
        self.args.push(arg.to_owned());
        self
    }

    pub fn size(mut self, columns: u16, rows: u16) -> Setup {
        (self.columns, self.rows) = (columns, rows);
        self
    }

    /// An interactive shell, and the line that starts the client in it.
    pub fn in_shell(mut self) -> (Setup, String) {
        let line = format!("'{}' {}\r", self.program, self.args.join(" "));
        "sh".clone_into(&mut self.program);
        self.args = vec!["-i".to_owned()];
        self.env.push(("PS1", "$ ".to_owned()));
        (self, line)
    }

    pub fn start(&mut self) -> Terminal {
        let (pty, pts) = open().unwrap();
        pty.resize(Size::new(self.rows, self.columns)).unwrap();
        let before = tcgetattr(&pty).unwrap();
        let mut command = Command::new(&self.program)
            .args(&self.args)
            .env_remove("NO_COLOR")
            .env("TERM", "xterm-256color")
            .env("TZ", "UTC")
            .env("XDG_STATE_HOME", self.home.path())
            .env("HOME", self.home.path());
        for (name, value) in &self.env {
            command = command.env(name, value);
        }
        if let Some(stdout) = self.stdout.take() {
            command = command.stdout(stdout);
        }
        let child = command.spawn_borrowed(&pts).unwrap();
        let keys = File::from(OwnedFd::from(pty));
        let size = Arc::new(keys.try_clone().unwrap());
        let parser = vt100::Parser::new(nonzero(self.rows), nonzero(self.columns), SCROLLBACK);
        let display = Arc::new(Mutex::new(Display { parser, raw: Vec::new() }));
        let is_read = Arc::new(AtomicBool::new(true));
        watch(keys.try_clone().unwrap(), Arc::clone(&display), Arc::clone(&is_read));
        let home = Arc::clone(&self.home);
        Terminal { child, keys, size, _pts: pts, _home: home, display, before, is_read }
    }
}

/// Draws what the client writes. It may arrive in several pieces; nobody looks at the screen between two of them, unless
/// they go on for long.
fn watch(mut output: File, display: Arc<Mutex<Display>>, is_read: Arc<AtomicBool>) {
    std::thread::spawn(move || {
        let mut chunk = [0; 8192];
        while is_read.load(Ordering::SeqCst)
            && let Ok(count @ 1..) = output.read(&mut chunk)
        {
            let mut display = display.lock().unwrap();
            display.take(&chunk[..count]);
            let mut others = 1..MAX_PIECES;
            while others.next().is_some()
                && has_more(&output)
                && let Ok(count @ 1..) = output.read(&mut chunk)
            {
                display.take(&chunk[..count]);
            }
        }
    });
}

/// Whether more is written in a moment.
fn has_more(output: &File) -> bool {
    let mut output = [PollFd::new(output.as_fd(), PollFlags::POLLIN)];
    poll(&mut output, SETTLING) == Ok(1)
}

impl Display {
    fn take(&mut self, bytes: &[u8]) {
        self.parser.process(bytes);
        self.raw.extend_from_slice(bytes);
    }
}

impl Terminal {
    /// Presses keys.
    pub fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).unwrap();
    }

    /// Pastes, as terminals do that say so.
    pub fn paste(&mut self, text: &str) {
        self.press(&format!("\x1b[200~{}\x1b[201~", text.replace('\n', "\r")));
    }

    /// The screen, without the spaces at the ends of its rows.
    pub fn screen(&self) -> String {
        self.look(|parser, _| parser.screen().contents().trim_end().to_owned())
    }

    /// The screen with its colours.
    pub fn snapshot(&self) -> vt100::Screen {
        self.look(|parser, _| parser.screen().clone())
    }

    /// The rows of the screen that have anything on them.
    pub fn rows(&self) -> Vec<String> {
        self.screen().lines().map(|row| row.trim_end().to_owned()).filter(|row| !row.is_empty()).collect()
    }

    /// The rows that have scrolled out of sight and those on the screen, as far as they have anything on them.
    pub fn all_rows(&self) -> Vec<String> {
        let mut display = self.display.lock().unwrap();
        let screen = display.parser.screen_mut();
        screen.set_scrollback(SCROLLBACK);
        let mut rows = Vec::new();
        for above in (1..=screen.scrollback()).rev() {
            screen.set_scrollback(above);
            rows.extend(screen.rows(0, u16::MAX).next());
        }
        screen.set_scrollback(0);
        rows.extend(screen.rows(0, u16::MAX));
        rows.into_iter().map(|row| row.trim_end().to_owned()).filter(|row| !row.is_empty()).collect()
    }

    /// Where the cursor is: column and row.
    pub fn cursor(&self) -> (u16, u16) {
        self.look(|parser, _| {
            let (row, column) = parser.screen().cursor_position();
            (column, row)
        })
    }

    /// All that was ever written, without escape sequences.
    pub fn text(&self) -> String {
        self.look(|_, raw| anstream::adapter::strip_str(&String::from_utf8_lossy(raw)).to_string())
    }

    /// All that was ever written.
    pub fn raw(&self) -> String {
        self.look(|_, raw| String::from_utf8_lossy(raw).into_owned())
    }

    fn look<T>(&self, f: impl FnOnce(&vt100::Parser, &[u8]) -> T) -> T {
        let display = self.display.lock().unwrap();
        f(&display.parser, &display.raw)
    }

    /// Waits until a condition holds.
    pub fn wait(&self, what: &str, is_so: impl Fn(&Terminal) -> bool) {
        let deadline = Instant::now() + SOON;
        while !is_so(self) {
            assert!(Instant::now() < deadline, "{what}; on the screen:\n{}\n{:?}", self.screen(), self.cursor());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Waits until the screen has a text on it.
    pub fn wait_for(&self, text: &str) {
        self.wait(&format!("no {text:?}"), |terminal| terminal.screen().contains(text));
    }

    /// Waits until the last row is this one.
    pub fn wait_for_prompt(&self, prompt: &str) {
        self.wait(&format!("not behind {prompt:?}"), |terminal| {
            terminal.rows().last().is_some_and(|row| row == prompt.trim_end())
        });
    }

    /// Makes the terminal wider, narrower, higher or lower.
    pub fn resize(&mut self, columns: u16, rows: u16) {
        self.display.lock().unwrap().parser.set_size(nonzero(rows), nonzero(columns));
        // The size belongs to the terminal, not to the handle, so that any will do.
        let status = std::process::Command::new("stty")
            .args(["cols", &columns.to_string(), "rows", &rows.to_string()])
            .stdin(self.size.try_clone().unwrap())
            .status();
        assert!(status.unwrap().success());
    }

    /// From now on nobody reads what is written, but for what is being read just now.
    pub fn look_away(&self) {
        self.is_read.store(false, Ordering::SeqCst);
    }

    /// Does what a shell does that takes the terminal back.
    pub fn take_back(&self) {
        tcsetattr(&self.keys, SetArg::TCSANOW, &self.before).unwrap();
    }

    /// Whether keys come one at a time: a prompt is up.
    pub fn is_raw(&self) -> bool {
        tcgetattr(&self.keys).unwrap() != self.before
    }

    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id().cast_signed()), signal).unwrap();
    }

    /// Does what closing the window does: all that runs in the terminal is told.
    pub fn hang_up(&self) {
        killpg(Pid::from_raw(self.child.id().cast_signed()), Signal::SIGHUP).unwrap();
    }

    /// Waits for the client to end, which must leave the modes of the terminal as they were.
    pub fn end_within(&mut self, limit: Duration) -> ExitStatus {
        let deadline = Instant::now() + limit;
        let status = loop {
            match self.child.try_wait().unwrap() {
                Some(status) => break status,
                None => assert!(Instant::now() < deadline, "it does not end; on the screen:\n{}", self.screen()),
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        assert!(!self.is_raw(), "the terminal is not as it was");
        status
    }

    /// Waits for the client to end, which must leave the terminal as it was.
    pub fn end(&mut self) -> ExitStatus {
        let status = self.end_within(SOON);
        self.wait("pastes are still bracketed", |user| !user.look(|parser, _| parser.screen().bracketed_paste()));
        status
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn nonzero(size: u16) -> NonZeroU16 {
    NonZeroU16::new(size).unwrap()
}
