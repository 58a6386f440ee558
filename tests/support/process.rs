//! What the system says about a running server.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use procfs::process::Process;
use rlimit::Resource;

use super::peer::PATIENCE;
use super::server::Server;

/// In which unit the system shows a process's time: the same on every Linux.
const TICKS_PER_SECOND: u64 = 100;

impl Server {
    /// The processor time that it has taken so far.
    pub fn cpu_time(&self) -> Duration {
        let stat = self.process().stat().unwrap();
        Duration::from_millis((stat.utime + stat.stime) * 1000 / TICKS_PER_SECOND)
    }

    /// Its resident memory, in bytes.
    pub fn memory(&self) -> u64 {
        self.process().status().unwrap().vmrss.expect("every process has some") * 1024
    }

    /// How many descriptors it has open.
    pub fn descriptors(&self) -> usize {
        self.process().fd_count().unwrap()
    }

    /// The number that its next descriptor would have.
    pub fn free_descriptor(&self) -> u64 {
        let open: HashSet<i32> = self.process().fd().unwrap().map(|fd| fd.unwrap().fd).collect();
        let free = (0..i32::MAX).find(|number| !open.contains(number)).expect("no process has them all");
        free.cast_unsigned().into()
    }

    /// Its limits on descriptors: the one that holds, and how far that may be raised.
    pub fn descriptor_limits(&self) -> (u64, u64) {
        self.limits(Resource::NOFILE)
    }

    /// From now on it cannot open a descriptor with this number or a higher one.
    pub fn limit_descriptors(&self, limit: u64) {
        self.limit(Resource::NOFILE, limit);
    }

    /// From now on it cannot write a file beyond this many bytes.
    pub fn limit_file_size(&self, limit: u64) {
        self.limit(Resource::FSIZE, limit);
    }

    fn limit(&self, resource: Resource, limit: u64) {
        let (_, hard) = self.limits(resource);
        rlimit::prlimit(self.id().cast_signed(), resource, Some((limit, hard)), None).unwrap();
    }

    fn limits(&self, resource: Resource) -> (u64, u64) {
        let (mut soft, mut hard) = (0, 0);
        rlimit::prlimit(self.id().cast_signed(), resource, None, Some((&mut soft, &mut hard))).unwrap();
        (soft, hard)
    }

    /// Waits until it has as many descriptors open again as it once had.
    #[track_caller]
    pub fn await_descriptors(&self, count: usize) {
        let started = Instant::now();
        while self.descriptors() > count {
            assert!(started.elapsed() < PATIENCE, "{} descriptors are open, not {count}", self.descriptors());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Shows that it takes less than a twentieth of one processor while nothing happens.
    #[track_caller]
    pub fn assert_idle(&self) {
        let before = self.cpu_time();
        std::thread::sleep(Duration::from_secs(2));
        let taken = self.cpu_time().saturating_sub(before);
        assert!(taken < Duration::from_millis(100), "{taken:?} of 2 s");
    }

    fn process(&self) -> Process {
        Process::new(self.id().cast_signed()).expect("it runs")
    }
}
