//! The modes of the terminal while no key is waited for.
//!
//! rustyline gives the terminal back after every line. What is typed until the next prompt is up would be echoed into
//! the middle of things, and a Ctrl-C there would be lost. So the terminal is kept quiet in between: nothing is echoed,
//! no key is a signal, and what is typed waits for the prompt.

pub use platform::Modes;

/// Gives the terminal back as it was found, however what is done with it ends.
pub struct GiveBack(pub Modes);

impl Drop for GiveBack {
    fn drop(&mut self) {
        self.0.restore();
    }
}

#[cfg(unix)]
mod platform {
    use std::io::{stdin, stdout};
    use std::os::fd::AsFd;

    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
    use nix::sys::termios::{InputFlags, LocalFlags, SetArg, Termios, tcgetattr, tcsetattr};
    use nix::unistd::write;

    /// Takes back what a prompt has asked of the terminal: to mark pastes, to say when it is looked at, and to let only
    /// some rows scroll.
    const UNDO: &[u8] = b"\x1b[?2004l\x1b[?1004l\x1b7\x1b[r\x1b8";

    /// The modes in which the terminal was found.
    #[derive(Clone)]
    pub struct Modes {
        found: Option<Termios>,
    }

    impl Modes {
        /// Looks at the terminal.
        #[must_use]
        pub fn find() -> Modes {
            Modes { found: tcgetattr(stdin()).ok() }
        }

        /// Keeps the terminal quiet.
        pub fn quiet(&self) {
            let Some(mut modes) = self.found.clone() else { return };
            modes.local_flags &= !(LocalFlags::ECHO | LocalFlags::ICANON | LocalFlags::ISIG);
            modes.input_flags &= !InputFlags::ICRNL;
            set(&modes);
        }

        /// Gives the terminal back as it was found.
        pub fn restore(&self) {
            if let Some(modes) = &self.found {
                set(modes);
                undo();
            }
        }
    }

    /// Says it only to a terminal that takes something, and past whoever waits for one that does not: they wait for ever.
    fn undo() {
        let takes = poll(&mut [PollFd::new(stdout().as_fd(), PollFlags::POLLOUT)], PollTimeout::ZERO);
        if takes.is_ok_and(|count| count > 0) {
            let _ = write(stdout(), UNDO);
        }
    }

    /// Sets them at once: what is not shown yet does not depend on them, and may never be shown. A terminal that takes no
    /// modes is one that has gone.
    fn set(modes: &Termios) {
        let _ = tcsetattr(stdin(), SetArg::TCSANOW, modes);
    }
}

#[cfg(not(unix))]
mod platform {
    /// The console does none of this here.
    #[derive(Clone)]
    pub struct Modes;

    impl Modes {
        /// Looks at the terminal.
        #[must_use]
        pub fn find() -> Modes {
            Modes
        }

        /// Keeps the terminal quiet.
        pub fn quiet(&self) {}

        /// Gives the terminal back as it was found.
        pub fn restore(&self) {}
    }
}
