//! Signals: being asked to stop, and waking a prompt that waits for a key.

pub use platform::{die_by, interrupt_self, sleep, watch};

/// Why a process is asked to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Somebody pressed a key.
    Key,
    /// The terminal is gone. The kernel and the shell each say so on their own account.
    HangUp,
    /// Somebody asked it.
    Request,
}

#[cfg(unix)]
mod platform {
    use std::io;
    use std::thread;

    use nix::sys::signal::{Signal, kill};
    use nix::unistd::Pid;
    use signal_hook::consts::{SIGCONT, SIGHUP, SIGINT, SIGTERM};
    use signal_hook::iterator::Signals;
    use signal_hook::low_level::emulate_default_handler;

    use super::Cause;

    /// Calls `on` for every signal that asks the process to stop, and `continued` when it goes on after it was stopped.
    ///
    /// # Errors
    /// Fails where the system has no means left for it.
    pub fn watch(on: impl Fn(i32, Cause) + Send + 'static, continued: impl Fn() + Send + 'static) -> io::Result<()> {
        let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP, SIGCONT])?;
        thread::Builder::new().name("signals".into()).spawn(move || {
            for signal in &mut signals {
                let cause = match signal {
                    SIGCONT => {
                        continued();
                        continue;
                    }
                    SIGINT => Cause::Key,
                    SIGHUP => Cause::HangUp,
                    _ => Cause::Request,
                };
                on(signal, cause);
            }
        })?;
        Ok(())
    }

    /// Ends the process the way the signal would have ended it, so that whoever waits for it knows.
    pub fn die_by(signal: i32) {
        let _ = emulate_default_handler(signal);
    }

    /// What Ctrl-C does, without a key: the only thing that a prompt listens to from within the process. It has to go
    /// to the process, not to one thread, for only then a blocking read of the main thread ends.
    pub fn interrupt_self() {
        let _ = kill(Pid::this(), Signal::SIGINT);
    }

    /// What Ctrl-Z does: the job sleeps until somebody continues it.
    pub fn sleep() {
        let _ = kill(Pid::from_raw(0), Signal::SIGTSTP);
    }
}

#[cfg(not(unix))]
mod platform {
    use std::io;
    use std::process;

    use super::Cause;

    /// Calls `on` when the process is asked to stop. Nothing is stopped here to be continued.
    ///
    /// # Errors
    /// Fails where the system has no means left for it.
    pub fn watch(on: impl Fn(i32, Cause) + Send + 'static, _continued: impl Fn() + Send + 'static) -> io::Result<()> {
        ctrlc::set_handler(move || on(1, Cause::Key)).map_err(io::Error::other)
    }

    /// Ends the process.
    pub fn die_by(signal: i32) {
        process::exit(signal);
    }

    /// There is no way to wake a prompt here: it notices at the next key that ends a line.
    pub fn interrupt_self() {}

    /// Jobs do not sleep here.
    pub fn sleep() {}
}
