//! Writing without waiting: to a terminal, a pipe or a disk, any of which may stand still for as long as it likes.

use std::io::{self, Write};
use std::sync::mpsc::{Receiver, Sender, SyncSender, TrySendError, channel, sync_channel};
use std::thread;
use std::time::Duration;

/// When to look again whether a slow output takes more.
pub const RETRY: Duration = Duration::from_millis(100);

/// A thread that writes what it is handed, so that whoever hands it over never waits.
///
/// At any time one batch is being written and one waits at most; whoever gives keeps the rest, and the limit on it.
#[derive(Debug)]
pub struct Background {
    batches: SyncSender<Vec<u8>>,
    written: Receiver<Written>,
    /// A buffer that has been written, to be filled again.
    spare: Vec<u8>,
    under_way: usize,
}

/// A batch that the thread is done with.
#[derive(Debug)]
struct Written {
    batch: Vec<u8>,
    outcome: io::Result<()>,
}

impl Background {
    /// Starts the thread. `name` is what a debugger shows.
    ///
    /// # Errors
    /// Where the system has no thread left.
    pub fn new(name: &str, output: impl Write + Send + 'static) -> io::Result<Background> {
        let (batches, to_write) = sync_channel(1);
        let (report, written) = channel();
        thread::Builder::new().name(name.into()).spawn(move || write_all(output, &to_write, &report))?;
        Ok(Background { batches, written, spare: Vec::new(), under_way: 0 })
    }

    /// Hands over what is in `bytes`, and leaves it empty, unless the thread is not ready for more.
    pub fn offer(&mut self, bytes: &mut Vec<u8>) {
        if bytes.is_empty() {
            return;
        }
        let batch = std::mem::replace(bytes, std::mem::take(&mut self.spare));
        match self.batches.try_send(batch) {
            Ok(()) => self.under_way += 1,
            Err(TrySendError::Full(batch) | TrySendError::Disconnected(batch)) => {
                self.spare = std::mem::replace(bytes, batch);
            }
        }
    }

    /// What came of the oldest batch that was handed over, if the thread is done with it: how many bytes it had, and
    /// why they could not all be written, if so.
    pub fn outcome(&mut self) -> Option<(usize, io::Result<()>)> {
        let Written { mut batch, outcome } = self.written.try_recv().ok()?;
        self.under_way -= 1;
        let length = batch.len();
        batch.clear();
        self.spare = batch;
        Some((length, outcome))
    }

    /// Whether the thread is not done with everything that was handed over.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        self.under_way > 0
    }
}

fn write_all(mut output: impl Write, batches: &Receiver<Vec<u8>>, written: &Sender<Written>) {
    for batch in batches {
        let outcome = output.write_all(&batch).and_then(|()| output.flush());
        // Nobody is left to be told once the other end is gone.
        let _ = written.send(Written { batch, outcome });
    }
}
