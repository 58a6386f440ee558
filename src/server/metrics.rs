//! What monitoring reads: `GET /metrics`, in the text format of Prometheus (version 0.0.4).
//!
//! A thread of its own answers, one request at a time, and asks the loop for the figures. So a request costs the loop one
//! look at its connections, and while the loop does nothing, no answer comes, which is an answer as well.

use std::fmt::Write as _;
use std::fs;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context;

use crate::address::ListenAddress;
use crate::lobby::stats::{Counts, Stats, Tally};

/// Time for a request to arrive, for the loop to give the figures, and for an answer to be taken.
const PATIENCE: Duration = Duration::from_secs(2);

/// The longest head of a request, in bytes.
const MAX_HEAD: usize = 8 * 1024;

/// The pause before the next try where the system accepts nothing.
const PAUSE: Duration = Duration::from_millis(100);

/// Questions from the thread that answers requests.
#[derive(Debug)]
pub struct Metrics(Receiver<SyncSender<Stats>>);

impl Metrics {
    /// Listens, and answers from then on. `log` is the file of the room. `wake` is called when there is a question for the
    /// loop. Returns where it listens, too.
    ///
    /// # Errors
    /// If nobody can listen there, or the system cannot start another thread.
    pub fn serve(
        address: &ListenAddress,
        log: Option<PathBuf>,
        wake: impl Fn() + Send + 'static,
    ) -> anyhow::Result<(Metrics, SocketAddr)> {
        let cannot = || format!("cannot serve metrics on {address}");
        let listener = TcpListener::bind(&address.resolve()?[..]).with_context(cannot)?;
        let local = listener.local_addr().with_context(cannot)?;
        let (questions, receiver) = sync_channel(1);
        let figures = move || {
            let (sender, answer) = sync_channel(1);
            questions.send(sender).ok()?;
            wake();
            answer.recv_timeout(PATIENCE).ok()
        };
        let serve = move || {
            for socket in listener.incoming() {
                match socket {
                    // A scraper that is gone has nobody to tell.
                    Ok(socket) => drop(answer(socket, &figures, log.as_deref())),
                    Err(_) => thread::sleep(PAUSE),
                }
            }
        };
        thread::Builder::new().name("metrics".into()).spawn(serve).with_context(cannot)?;
        Ok((Metrics(receiver), local))
    }

    /// Answers what is asked.
    pub fn answer(&self, stats: impl Fn() -> Stats) {
        while let Ok(asker) = self.0.try_recv() {
            // It may have lost its patience.
            let _ = asker.try_send(stats());
        }
    }
}

/// Answers one request, and closes.
fn answer(mut socket: TcpStream, figures: &impl Fn() -> Option<Stats>, log: Option<&Path>) -> io::Result<()> {
    socket.set_write_timeout(Some(PATIENCE))?;
    let head = read_head(&mut socket)?;
    let line = head.split(|&byte| byte == b'\r' || byte == b'\n').next().unwrap_or_default();
    let (status, text) = match line {
        line if !line.starts_with(b"GET ") => ("405 Method Not Allowed", "only GET is answered\n".to_owned()),
        line if !line.starts_with(b"GET /metrics ") => ("404 Not Found", "there is nothing but /metrics\n".to_owned()),
        _ => match figures() {
            Some(stats) => ("200 OK", render(&stats, log.map(size))),
            None => ("503 Service Unavailable", "the server is too busy to count\n".to_owned()),
        },
    };
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n",
        text.len()
    );
    socket.write_all((head + &text).as_bytes())
}

/// The head of a request, up to the blank line.
fn read_head(socket: &mut TcpStream) -> io::Result<Vec<u8>> {
    let deadline = Instant::now() + PATIENCE;
    let (mut head, mut chunk) = (Vec::new(), [0; 1024]);
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        let left = deadline.checked_duration_since(Instant::now()).filter(|left| !left.is_zero());
        socket.set_read_timeout(Some(left.ok_or(ErrorKind::TimedOut)?))?;
        match socket.read(&mut chunk) {
            Ok(count) if count > 0 && head.len() < MAX_HEAD => head.extend_from_slice(&chunk[..count]),
            Ok(_) => return Err(ErrorKind::InvalidData.into()),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(head)
}

/// The size of a log, with what SQLite has not put in its place yet.
fn size(log: &Path) -> u64 {
    let mut beside = log.as_os_str().to_owned();
    beside.push("-wal");
    [log, Path::new(&beside)].iter().filter_map(|file| fs::metadata(file).ok()).map(|file| file.len()).sum()
}

fn render(stats: &Stats, log: Option<u64>) -> String {
    let Stats { members, connections, said, lag, counts } = stats;
    let Counts { lines, sent, waves, turned_away, evicted } = counts;
    let mut text = String::new();
    let mut family = |name: &str, kind: &str, help: &str, samples: &[(String, u64)]| {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "# HELP gotcp_{name} {help}\n# TYPE gotcp_{name} {kind}");
        for (labels, value) in samples {
            let _ = writeln!(text, "gotcp_{name}{labels} {value}");
        }
    };
    let one = |value: u64| [(String::new(), value)];
    let each = |tally: &Tally| -> Vec<_> {
        tally.iter().map(|(reason, &count)| (format!("{{reason=\"{reason}\"}}"), count)).collect()
    };
    family("members", "gauge", "People in the room, those who are away for a moment included.", &one(*members as u64));
    family("connections", "gauge", "Connections, those without a name included.", &one(*connections as u64));
    family("lines_total", "counter", "Lines that were processed.", &one(*lines));
    family("said_bytes_total", "counter", "Bytes of public lines.", &one(*said));
    family("sent_bytes_total", "counter", "Bytes that sockets took, before TLS.", &one(*sent));
    family("waves_total", "counter", "How often everybody was written to.", &one(*waves));
    family("slowest_reader_lag_bytes", "gauge", "How far the slowest reader is behind.", &one(*lag));
    family("turned_away_total", "counter", "Who was not let in; wrong passwords each count.", &each(turned_away));
    family("evicted_total", "counter", "Who was disconnected.", &each(evicted));
    if let Some(bytes) = log {
        family("log_bytes", "gauge", "The size of the file with the log.", &one(bytes));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every family has its help and its type, and every reason a sample.
    #[test]
    fn families_are_whole() {
        let mut stats = Stats { members: 3, ..Stats::default() };
        stats.counts.turned_away = Tally::from([("full", 2), ("silent", 0)]);
        let text = render(&stats, Some(17));
        for line in [
            "# TYPE gotcp_members gauge\ngotcp_members 3\n",
            "gotcp_turned_away_total{reason=\"full\"} 2\ngotcp_turned_away_total{reason=\"silent\"} 0\n",
            "gotcp_log_bytes 17\n",
        ] {
            assert!(text.contains(line), "no {line} in {text}");
        }
        assert!(!render(&stats, None).contains("log_bytes"));
    }
}
