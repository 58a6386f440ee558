//! The same server, with its log in a file.

use std::cell::Cell;
use std::net::SocketAddr;
use std::process::Command;

use tempfile::TempDir;

use super::subject::{Gotcp, Subject};

/// This project's server with its log in a file.
pub struct Logged {
    /// The program to measure.
    pub gotcp: Gotcp,
    /// Where the files are, a new one for each start.
    pub folder: TempDir,
    /// How many there are.
    pub files: Cell<usize>,
}

impl Subject for Logged {
    fn name(&self) -> &'static str {
        "gotcp, file"
    }

    fn command(&self, address: SocketAddr, clients: usize) -> Command {
        self.files.set(self.files.get() + 1);
        let mut command = self.gotcp.command(address, clients);
        command.arg("--log").arg(self.folder.path().join(format!("room{}.db", self.files.get())));
        command
    }

    fn hello(&self, client: usize) -> Vec<u8> {
        self.gotcp.hello(client)
    }

    fn greeting(&self, clients: usize) -> Option<Vec<u64>> {
        self.gotcp.greeting(clients)
    }

    fn said(&self, sender: usize, text: &str) -> String {
        self.gotcp.said(sender, text)
    }

    fn heard(&self, sender: usize, text: &str) -> String {
        self.gotcp.heard(sender, text)
    }
}
