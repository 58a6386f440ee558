//! What other threads know of the network thread, and what they tell it.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::bail;
use mio::Waker;

use super::session::{self, Phase};
use crate::protocol::name::Name;

/// Bytes of lines that may wait for the network thread before whoever types in bulk has to pause.
const ENOUGH: usize = 256 * 1024;

/// What the user wants.
pub enum Command {
    /// Say a line, or do what it commands.
    Say(Vec<u8>),
    /// Say a line as it is, even if it looks like a command.
    SayLiterally(Vec<u8>),
    /// Take another name than the one that cannot be had.
    Choose(Name),
    /// Try to connect now instead of later.
    Connect,
    /// Say this password, then the name again.
    Unlock(String),
    /// Leave once everything that was typed has been heard.
    Leave,
    /// Leave at once.
    LeaveNow,
    /// Leave at once, and soon even if the server does not close: nobody reads along any more.
    Abandon,
}

/// How things stand.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// Of the session.
    pub session: session::Status,
    /// Whether whoever types in bulk has to pause.
    pub is_full: bool,
    /// How many typed lines the server is not known to have heard.
    pub unheard: usize,
    /// Which of the servers it is.
    pub server: usize,
}

impl Status {
    /// What the user ought to know of the connection, behind their name: nothing while all is well.
    #[must_use]
    pub fn standing(&self) -> String {
        let session::Status { phase, has_joined, .. } = self.session;
        let is_on = matches!(phase, Phase::Joined | Phase::Plain);
        match (is_on, has_joined && phase == Phase::Down, self.unheard) {
            (true, ..) => String::new(),
            (false, true, 0) => ", offline".into(),
            (false, true, waiting) => format!(", offline, {waiting} waiting"),
            (false, false, 0) => ", connecting".into(),
            (false, false, waiting) => format!(", connecting, {waiting} waiting"),
        }
    }

    /// Whether the server is known to have heard everything.
    ///
    /// # Errors
    /// Says how many lines it may not have heard.
    pub fn confirmed(&self) -> anyhow::Result<()> {
        match self.unheard {
            0 => Ok(()),
            1 => bail!("1 line was not confirmed"),
            count => bail!("{count} lines were not confirmed"),
        }
    }
}

/// The network thread, as other threads see it.
#[derive(Clone)]
pub struct Handle {
    shared: Arc<Shared>,
}

struct Shared {
    waker: Waker,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    commands: Vec<Command>,
    /// Bytes of lines among the commands.
    bytes: usize,
    status: Status,
    is_over: bool,
    result: Option<anyhow::Result<()>>,
}

impl Handle {
    /// The handle of a thread that `waker` wakes, of a user who wants to be called `name`.
    #[must_use]
    pub fn new(waker: Waker, name: &str) -> Handle {
        let mut state = State::default();
        name.clone_into(&mut state.status.session.name);
        let state = Mutex::new(state);
        Handle { shared: Arc::new(Shared { waker, state, changed: Condvar::new() }) }
    }

    // ---- For other threads ----

    /// Tells the thread what the user wants.
    pub fn tell(&self, command: Command) {
        let mut state = self.lock();
        if let Command::Say(line) | Command::SayLiterally(line) = &command {
            state.bytes += line.len() + 1;
        }
        state.commands.push(command);
        drop(state);
        self.wake();
    }

    /// Has the thread look again at everything.
    pub fn wake(&self) {
        // A waker only fails where the system has no means left; the thread then looks at the next event.
        let _ = self.shared.waker.wake();
    }

    /// Waits until there is room for more lines, or the thread is over.
    pub fn wait_for_room(&self) {
        let has_no_room = |state: &mut State| !state.is_over && (state.status.is_full || state.bytes >= ENOUGH);
        drop(self.shared.changed.wait_while(self.lock(), has_no_room));
    }

    /// How things stand.
    #[must_use]
    pub fn status(&self) -> Status {
        let state = self.lock();
        let is_line = |command: &&Command| matches!(command, Command::Say(_) | Command::SayLiterally(_));
        let waiting = state.commands.iter().filter(is_line).count();
        Status { unheard: state.status.unheard + waiting, ..state.status.clone() }
    }

    /// Waits until the connection is gone, but not longer than `limit`.
    pub fn wait_until_down(&self, limit: Duration) {
        let is_up = |state: &mut State| !state.is_over && state.status.session.phase != Phase::Down;
        drop(self.shared.changed.wait_timeout_while(self.lock(), limit, is_up));
    }

    /// What came of it all, once the thread is over, which is waited for not longer than `limit`.
    pub fn result(&self, limit: Duration) -> Option<anyhow::Result<()>> {
        let runs = |state: &mut State| !state.is_over;
        let waited = self.shared.changed.wait_timeout_while(self.lock(), limit, runs);
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        state.result.take()
    }

    // ---- For the network thread ----

    /// What the user has asked for since the last time.
    #[must_use]
    pub fn take_commands(&self) -> Vec<Command> {
        let mut state = self.lock();
        state.bytes = 0;
        std::mem::take(&mut state.commands)
    }

    /// Says how things stand. Returns whether the user has to know: of another name, of a question, or of the connection.
    #[must_use]
    pub fn publish(&self, status: Status) -> bool {
        let mut state = self.lock();
        if state.status == status {
            return false;
        }
        let (new, old) = (&status.session, &state.status.session);
        let is_new = (&new.name, &new.refused, new.is_locked) != (&old.name, &old.refused, old.is_locked)
            || status.standing() != state.status.standing();
        state.status = status;
        drop(state);
        self.shared.changed.notify_all();
        is_new
    }

    /// The thread is over.
    pub fn finish(&self, result: anyhow::Result<()>) {
        let mut state = self.lock();
        (state.is_over, state.result) = (true, Some(result));
        drop(state);
        self.shared.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
