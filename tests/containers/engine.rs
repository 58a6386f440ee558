//! The image and the scripts on a real engine, as people use them: a network, a server, clients at their terminals.
//!
//! `GOTCP_TEST_CONTAINERS=docker` (or `podman`) runs it. If the Dockerfile's builder image is not there, a stand-in is
//! made of what is installed (tests/support/builder-image.sh). Everything that is made here is removed again, and what
//! was there before is not touched: if there is a network goTCPnet or a container gotcpserver, the test fails at once.

use std::env;
use std::fs::{self, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::support::pty::{Setup, Terminal};
use crate::support::skip::skipped;
use tempfile::TempDir;

/// Time for two clients to come back to a server that was away: each may wait half a minute before it tries again.
const REUNION: Duration = Duration::from_secs(90);

/// Time for anything else.
const SOON: Duration = Duration::from_secs(60);

/// With nothing but the scripts and an engine, people chat from containers, from this machine and with plain TCP;
/// errors are reported in one line; and in the end nothing is left.
#[test]
fn people_chat_in_containers() {
    let Some(engine) = env::var("GOTCP_TEST_CONTAINERS").ok().filter(|engine| !engine.is_empty()) else {
        return skipped("tests/containers/engine.rs: GOTCP_TEST_CONTAINERS does not name an engine");
    };
    let stage = Stage::set(engine);
    let port = free_port();

    // With nothing there, nobody can join, and there is nothing to stop.
    stage.refuses(&["client", "carol"], "dockerbuild: no server is running; ");
    assert!(stage.script(&["stop"]).out.contains("there is nothing to stop"));

    obstacles(&stage, port);

    let server = stage.script(&["server", &format!("--port={port}"), "--", "--max-line=1000"]);
    assert_eq!(server.code, 0, "{server:?}");
    assert!(server.out.contains(&format!("the server is running on port {port} of this machine")), "{server:?}");
    placed_and_confined(&stage);
    image_is_small(&stage);
    stage.refuses(&["server"], "dockerbuild: the server is already running; ");
    // The client refuses a bad name, and leaves no container.
    stage.refuses(&["client", "not one"], "gotcp: ");
    assert_eq!(stage.clients(), Vec::<String>::new());

    conversation(&stage, port);
    host_names_resolve(&stage);
    becomes_healthy(&stage);
    rebuild_is_quick(&stage, port);

    stops_gracefully(&stage);
    assert_eq!(stage.script(&["stop"]).code, 0);
    stage.nothing_is_left();
    a_room_can_be_locked(&stage, port);
    runs_without_the_scripts(&stage);
}

/// Every obstacle is reported in one line, and nothing half finished stays.
fn obstacles(stage: &Stage, port: u16) {
    let taken = free_port();
    let holder = TcpListener::bind(("0.0.0.0", taken)).expect("the port");
    stage.refuses(&["server", "--port", &taken.to_string()], &format!("port {taken} of this machine is taken"));
    drop(holder);
    stage.nothing_is_left();

    stage.refuses(&["server", &format!("--port={port}"), "--", "--no-such-option"], "--no-such-option");
    stage.nothing_is_left();

    stage.engine_does(&["network", "create", "--subnet", "192.168.112.0/24", "goTCPnet"]);
    stage
        .refuses(&["server", "--port", &port.to_string()], "goTCPnet already exists, with the subnet 192.168.112.0/24");
    assert_eq!(stage.script(&["stop"]).code, 0);
    stage.nothing_is_left();

    if stage.engine == "docker" {
        let nowhere = stage.command(&["server"]).env("DOCKER_HOST", "unix:///nonexistent").output().expect("a script");
        let err = String::from_utf8_lossy(&nowhere.stderr).into_owned();
        assert!(err.starts_with("dockerbuild: docker does not answer: "), "{err}");
        assert_eq!(err.lines().count(), 1, "{err}");
        assert_eq!(nowhere.status.code(), Some(1));
    }
}

/// The server has its address, no privileges, and a log that stays small.
fn placed_and_confined(stage: &Stage) {
    let of = |format: &str| stage.engine_says(&["container", "inspect", "--format", format, "gotcpserver"]);
    assert_eq!(of("{{.NetworkSettings.Networks.goTCPnet.IPAddress}}"), "192.168.111.111");
    assert_eq!(of("{{.Config.User}}"), "65532:65532");
    assert_eq!(of("{{.HostConfig.ReadonlyRootfs}}"), "true");
    let log = of("{{json .HostConfig.LogConfig}}");
    assert!(log.contains("max-size"), "{log}");
    let network = stage.engine_says(&["network", "inspect", "goTCPnet"]);
    assert!(network.contains("\"192.168.111.0/24\""), "{network}");

    // What the kernel says counts more than what was asked for.
    let pid = of("{{.State.Pid}}");
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("a process");
    let field = |name: &str| {
        let line =
            status.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("no {name} in {status}"));
        line.split_whitespace().skip(1).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(field("Uid:"), "65532 65532 65532 65532");
    assert_eq!(field("CapBnd:"), "0000000000000000");
    assert_eq!(field("NoNewPrivs:"), "1");
}

/// The image is one file, and the folder for a volume, and says how it is to be used. The builds left no image without a name.
fn image_is_small(stage: &Stage) {
    let of = |format: &str| stage.engine_says(&["image", "inspect", "--format", format, "gotcp"]);
    let size: u64 = of("{{.Size}}").parse().expect("a number");
    println!("the image has {size} bytes");
    assert!(size < 15_000_000, "{size} bytes");
    assert_eq!(of("{{len .RootFS.Layers}}"), "2");
    let env = of("{{.Config.Env}}");
    assert!(env.contains("GOTCP_LISTEN=0.0.0.0:7777 GOTCP_SERVER=192.168.111.111:7777"), "{env}");
    assert_eq!(of("{{.Config.StopSignal}}"), "SIGTERM");
    assert!(of("{{.Config.Labels}}").contains("org.opencontainers.image.title:gotcp"));
    assert_eq!(stage.images_without_a_name(), "");
}

/// Two clients at terminals, a third one with the first one's name, one from this machine, and one that is plain TCP.
fn conversation(stage: &Stage, port: u16) {
    let mut carol = stage.terminal("carol");
    let mut bob = stage.terminal("bob");
    carol.press("a word for bob\r");
    bob.wait_for("a word for bob");
    bob.press("and one back\r");
    carol.wait_for("and one back");

    let again = stage.terminal("carol");
    let mut containers = stage.clients();
    containers.sort();
    let [first, second, third] = containers.try_into().expect("three clients");
    assert!(first.starts_with("gotcpclientbob") && first.len() == "gotcpclientbob".len() + 6, "{first}");
    // The digits of a container are those of its person in the chat.
    bob.press("!who\r");
    for container in [&second, &third] {
        let tag = container.strip_prefix("gotcpclientcarol").expect("a carol");
        bob.wait_for(&format!("carol#{tag}"));
    }

    // From this machine, which has nothing but the port.
    let mut plain = TcpStream::connect(("127.0.0.1", port)).expect("the port");
    plain.set_read_timeout(Some(SOON)).expect("a timeout");
    plain.write_all(b"nora\na word from outside\n").expect("a line");
    carol.wait_for("a word from outside");
    carol.press("we hear you\r");
    let mut lines = BufReader::new(plain.try_clone().expect("a socket")).lines().map_while(Result::ok);
    assert!(lines.any(|line| line.ends_with(": we hear you")), "the server closed");
    // The option after `--` has reached the server.
    plain.write_all(&[b"x".repeat(2000), b"\n".to_vec()].concat()).expect("a line");
    assert!(lines.any(|line| line == "--- error: a line longer than 1000 bytes was dropped"), "the server closed");
    plain.write_all(b"!exit\n").expect("a line");

    let mut hannah = Command::new(env!("CARGO_BIN_EXE_gotcp"))
        .args(["client", "--username", "hannah", "--server", &format!("127.0.0.1:{port}")])
        .env("XDG_STATE_HOME", crate::support::NOWHERE)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("a client");
    hannah.stdin.take().expect("a pipe").write_all(b"a word from the machine\n").expect("a line");
    bob.wait_for("a word from the machine");
    assert!(hannah.wait().expect("an end").success());

    // A server that is started again is found again, and the network was kept for the clients that wait.
    let stopped = stage.script(&["stop"]);
    assert!(stopped.out.contains("keeping goTCPnet, which is still used by gotcpclient"), "{stopped:?}");
    assert_eq!(stage.script(&["server", "--port", &port.to_string()]).code, 0);
    bob.press("here we are again\r");
    let deadline = Instant::now() + REUNION;
    while !carol.screen().contains("here we are again") {
        assert!(Instant::now() < deadline, "{}", carol.screen());
        thread::sleep(Duration::from_millis(100));
    }

    // The room is the one from before: nobody is said to have left but those who did.
    let said = stage.engine_says(&["exec", "gotcpserver", "gotcp", "log", "/data/room.db"]);
    assert!(said.contains("a word for bob") && said.contains("the server is shutting down"), "{said}");
    assert!(!said.contains("(connection lost)"), "{said}");

    // A client that leaves takes its container along, and so does one whose window is closed.
    bob.press("!exit\r");
    assert!(bob.end().success());
    again.hang_up();
    let deadline = Instant::now() + SOON;
    while stage.clients().len() > 1 {
        assert!(Instant::now() < deadline, "still there: {:?}", stage.clients());
        thread::sleep(Duration::from_millis(100));
    }
    carol.press("!exit\r");
    assert!(carol.end().success());
    assert_eq!(stage.clients(), Vec::<String>::new());
}

fn host_names_resolve(stage: &Stage) {
    let probe = |server: &str| {
        let client = ["run", "--rm", "--network", "goTCPnet", "gotcp", "client", "--probe", "--server", server];
        stage.engine(&client).status.success()
    };
    assert!(probe("gotcpserver:7777"));
    assert!(!probe("gotcpserver:7778"));
}

fn becomes_healthy(stage: &Stage) {
    // Podman leaves regular health checks to systemd, which may not be there.
    if stage.engine == "podman" {
        stage.engine_does(&["healthcheck", "run", "gotcpserver"]);
    }
    let deadline = Instant::now() + SOON;
    loop {
        let health =
            stage.engine_says(&["container", "inspect", "--format", "{{.State.Health.Status}}", "gotcpserver"]);
        if health == "healthy" {
            return;
        }
        assert!(Instant::now() < deadline, "{health}");
        thread::sleep(Duration::from_millis(200));
    }
}

/// After an edit, only the program itself is compiled, and again no image without a name is left.
fn rebuild_is_quick(stage: &Stage, port: u16) {
    let main = stage.sources.path().join("src/main.rs");
    OpenOptions::new().append(true).open(main).and_then(|mut file| file.write_all(b"// An edit.\n")).expect("an edit");
    stage.engine_does(&["rm", "--force", "gotcpserver"]);
    let start = Instant::now();
    let server = stage.script(&["server", &format!("--port={port}")]);
    println!("the rebuild and the start took {:?}", start.elapsed());
    assert_eq!(server.code, 0, "{server:?}");
    // Docker colours what a step prints piece by piece, even within a line.
    let output = anstream::adapter::strip_str(&(server.out + &server.err)).to_string();
    assert!(!output.contains("Compiling clap") && output.contains("Compiling gotcp"), "{output}");
    assert_eq!(stage.images_without_a_name(), "");
}

/// The server reads its password from a folder and makes itself a certificate, which it still has after a new start; clients
/// are told to use TLS, and ask for the password.
fn a_room_can_be_locked(stage: &Stage, port: u16) {
    let files = TempDir::new().expect("a folder");
    let word = files.path().join("word");
    fs::write(&word, "sesame\n").expect("a file");
    fs::set_permissions(files.path(), fs::Permissions::from_mode(0o755)).expect("a folder of ours");
    fs::set_permissions(&word, fs::Permissions::from_mode(0o644)).expect("a file of ours");
    let folder = files.path().to_str().expect("a plain path");
    let port = port.to_string();
    let start = ["server", "--port", &port, "--files", folder, "--", "--tls=required", "--password-file=/files/word"];
    let key = || {
        let server = stage.script(&start);
        assert_eq!(server.code, 0, "{server:?}");
        let log = stage.engine_says(&["logs", "gotcpserver"]);
        log.split("its key is ")
            .nth(1)
            .and_then(|rest| rest.lines().next())
            .unwrap_or_else(|| panic!("{log}"))
            .to_owned()
    };
    let first = key();
    assert_eq!(stage.script(&["stop"]).code, 0);
    assert_eq!(key(), first);
    let mut carol = stage.joining("carol", &["--", "--server", "tls://192.168.111.111", "--pin", &first]);
    carol.wait_for_prompt("Its password: ");
    carol.press("sesame\r");
    carol.wait_for("You(carol#");
    carol.press("!exit\r");
    assert!(carol.end().success());
    assert_eq!(stage.script(&["stop"]).code, 0);
    stage.nothing_is_left();
}

/// `docker run gotcp server` alone is a server that others reach through a published port.
fn runs_without_the_scripts(stage: &Stage) {
    let publish = format!("{}:7777", free_port());
    let server = ["run", "--detach", "--rm", "--name", "gotcpserver", "--publish", &publish, "gotcp", "server"];
    stage.engine_does(&server);
    let server = format!("127.0.0.1:{}", publish.trim_end_matches(":7777"));
    let deadline = Instant::now() + SOON;
    let probe = || Command::new(env!("CARGO_BIN_EXE_gotcp")).args(["client", "--probe", "--server", &server]).status();
    while !probe().expect("a client").success() {
        assert!(Instant::now() < deadline, "nobody answers at {server}");
        thread::sleep(Duration::from_millis(100));
    }
    becomes_healthy(stage);
    stage.engine_does(&["stop", "gotcpserver"]);
}

/// The server ends by itself, before the engine kills it: then its exit code would be another one.
fn stops_gracefully(stage: &Stage) {
    stage.engine_does(&["stop", "--time", "5", "gotcpserver"]);
    assert_eq!(stage.engine_says(&["container", "inspect", "--format", "{{.State.ExitCode}}", "gotcpserver"]), "0");
    let log = stage.engine(&["logs", "gotcpserver"]);
    let log = String::from_utf8_lossy(&log.stdout).into_owned() + &String::from_utf8_lossy(&log.stderr);
    assert!(log.contains("shutting down"), "{log}");
}

fn free_port() -> u16 {
    TcpListener::bind(("0.0.0.0", 0)).and_then(|socket| socket.local_addr()).expect("a port").port()
}

/// The engine, a copy of the sources to build from, and what is to be removed in the end.
struct Stage {
    engine: String,
    sources: TempDir,
    /// Another folder, to call the scripts from.
    elsewhere: TempDir,
    builder: String,
    has_stand_in: bool,
    /// The image that had the name before.
    earlier: Option<String>,
}

/// What a script did.
#[derive(Debug)]
struct Outcome {
    code: i32,
    out: String,
    err: String,
}

impl Stage {
    fn set(engine: String) -> Self {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let dockerfile = fs::read_to_string(here.join("Dockerfile")).expect("a Dockerfile");
        let from = dockerfile.lines().find_map(|line| line.strip_prefix("FROM ")).expect("a builder");
        let mut stage = Self {
            engine,
            sources: TempDir::new().expect("a folder"),
            elsewhere: TempDir::new().expect("a folder"),
            builder: from.split(' ').next().expect("a name").to_owned(),
            has_stand_in: false,
            earlier: None,
        };
        for name in ["Cargo.toml", "Cargo.lock", "compare", "Dockerfile", ".dockerignore", "dockerbuild.sh", "src"] {
            let copied = Command::new("cp").arg("-R").arg(here.join(name)).arg(stage.sources.path()).status();
            assert!(copied.expect("cp").success());
        }
        // Not dropped until it is sure that nothing here was there before.
        let untouched = std::mem::ManuallyDrop::new(stage);
        assert!(untouched.engine(&["ps"]).status.success(), "{} does not answer", untouched.engine);
        for (kind, name) in [("container", "gotcpserver"), ("network", "goTCPnet"), ("volume", "gotcpdata")] {
            let found = untouched.engine(&[kind, "inspect", name]).status.success();
            assert!(!found, "there is a {kind} {name} already; this test does not touch it, and cannot run beside it");
        }
        stage = std::mem::ManuallyDrop::into_inner(untouched);
        let earlier = stage.engine(&["image", "inspect", "--format", "{{.Id}}", "gotcp"]);
        stage.earlier = earlier.status.success().then(|| String::from_utf8_lossy(&earlier.stdout).trim().to_owned());
        if !stage.engine(&["image", "inspect", &stage.builder]).status.success() {
            println!("making a stand-in for {}", stage.builder);
            stage.has_stand_in = true;
            let script = here.join("tests/support/builder-image.sh");
            let made = Command::new(script).arg(&stage.builder).env("ENGINE", &stage.engine).status();
            assert!(made.expect("a script").success());
        }
        stage
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(self.sources.path().join("dockerbuild.sh"));
        command.args(["--engine", &self.engine]).args(args).current_dir(&self.elsewhere).stdin(Stdio::null());
        command
    }

    fn script(&self, args: &[&str]) -> Outcome {
        let Output { status, stdout, stderr } = self.command(args).output().expect("a script");
        Outcome {
            code: status.code().expect("an exit code"),
            out: String::from_utf8_lossy(&stdout).into_owned(),
            err: String::from_utf8_lossy(&stderr).into_owned(),
        }
    }

    /// Checks that the script fails, and that its last line contains this.
    fn refuses(&self, args: &[&str], err: &str) {
        let outcome = self.script(args);
        assert!(outcome.err.lines().last().unwrap_or_default().contains(err), "{args:?}: {outcome:?}");
        assert_ne!(outcome.code, 0, "{args:?}");
    }

    fn engine(&self, args: &[&str]) -> Output {
        Command::new(&self.engine).args(args).stdin(Stdio::null()).output().expect("an engine")
    }

    fn engine_does(&self, args: &[&str]) {
        let output = self.engine(args);
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    }

    fn engine_says(&self, args: &[&str]) -> String {
        let output = self.engine(args);
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// The containers of all clients.
    fn clients(&self) -> Vec<String> {
        let names = self.engine_says(&["ps", "--all", "--filter", "name=gotcpclient", "--format", "{{.Names}}"]);
        names.lines().map(str::to_owned).collect()
    }

    /// The IDs of all images without a name that were made here.
    fn images_without_a_name(&self) -> String {
        let label = "label=org.opencontainers.image.title=gotcp";
        self.engine_says(&["images", "--quiet", "--filter", "dangling=true", "--filter", label])
    }

    fn nothing_is_left(&self) {
        for (kind, name) in [("container", "gotcpserver"), ("network", "goTCPnet")] {
            assert!(!self.engine(&[kind, "inspect", name]).status.success(), "the {kind} {name} is still there");
        }
    }

    /// A client at a terminal of its own, which has joined.
    fn terminal(&self, name: &str) -> Terminal {
        let terminal = self.joining(name, &[]);
        terminal.wait_for(&format!("You({name}#"));
        assert!(!terminal.screen().contains("gotcp: "), "a complaint: {}", terminal.screen());
        terminal
    }

    /// A client at a terminal of its own.
    fn joining(&self, name: &str, args: &[&str]) -> Terminal {
        let mut setup = Setup::new("");
        self.sources.path().join("dockerbuild.sh").to_str().expect("a plain path").clone_into(&mut setup.program);
        setup.args = ["client", name, "--engine", &self.engine].iter().chain(args).map(|&arg| arg.to_owned()).collect();
        setup.start()
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        for client in self.clients() {
            self.engine(&["rm", "--force", &client]);
        }
        self.engine(&["rm", "--force", "gotcpserver"]);
        self.engine(&["network", "rm", "goTCPnet"]);
        self.engine(&["volume", "rm", "gotcpdata"]);
        self.engine(&["rmi", "gotcp", "gotcp-build"]);
        if let Some(earlier) = &self.earlier {
            self.engine(&["tag", earlier, "gotcp"]);
        }
        if self.has_stand_in {
            self.engine(&["rmi", &self.builder]);
            // With Podman each layer is an image, too.
            for label in ["gotcp.stand-in=true", "org.opencontainers.image.title=gotcp"] {
                self.engine(&["image", "prune", "--force", "--filter", &format!("label={label}")]);
            }
        }
    }
}
