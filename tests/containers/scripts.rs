//! dockerbuild.sh and dockerbuild.ps1 with a fake engine: the commands they give it, what they tell people, and that
//! the two are alike. tests/containers/engine.rs uses a real engine.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

const SHELL: &str = include_str!("../../dockerbuild.sh");
const POWERSHELL: &str = include_str!("../../dockerbuild.ps1");

const NO_SERVER: Answer = Answer("container inspect", 1, "Error: No such container: gotcpserver");
const NO_NETWORK: Answer = Answer("network inspect", 1, "Error: No such network: goTCPnet");
const SERVER: Answer = Answer("container inspect", 0, "true");
const ADDRESS: Answer = Answer("container inspect", 0, "192.168.111.111");
const NETWORK: Answer =
    Answer("network inspect", 0, r#"[ { "IPAM": { "Config": [ { "Subnet": "192.168.111.0/24" } ] } } ]"#);
const PORT_TAKEN: Answer = Answer(
    "run",
    125,
    "docker: Error response from daemon: driver failed programming external connectivity on endpoint gotcpserver: \
     Bind for 0.0.0.0:7777 failed: port is already allocated.",
);

const BUILD_STAGE: &str = "build --force-rm --target build --tag gotcp-build HERE";
const BUILD: &str = "build --force-rm --tag gotcp HERE";
const PRUNE: &str = "image prune --force --filter label=org.opencontainers.image.title=gotcp";
const MAKE_NETWORK: &str = "network create --subnet 192.168.111.0/24 goTCPnet";
const START: &str = "run --detach --name gotcpserver --network goTCPnet --ip 192.168.111.111 --publish 7777:7777 \
    --restart unless-stopped --read-only --cap-drop ALL --security-opt no-new-privileges \
    --log-driver json-file --log-opt max-size=10m --log-opt max-file=3 --volume gotcpdata:/data gotcp server \
    --log /data/room.db";
const REMOVE: &str = "rm --force gotcpserver";
const REMOVE_NETWORK: &str = "network rm goTCPnet";
const JOIN: &str = "run --rm --interactive --tty=false --name gotcpclientcarolTAG --network goTCPnet --no-healthcheck \
    --env GOTCP_SERVER=192.168.111.111:7777 --env TZ=local-00:00 --read-only --cap-drop ALL \
    --security-opt no-new-privileges gotcp client --no-tag --username=carol#TAG";
const KEPT: &str =
    "dockerbuild: what was said is kept in the volume gotcpdata; to remove it: docker volume rm gotcpdata\n";
const RUNS: &str =
    "dockerbuild: the server is running on port 7777 of this machine; to watch it: docker logs --follow gotcpserver
dockerbuild: to join: ME client; to stop the server: ME stop
";

/// What the engine answers to a command that starts like this, and its exit code.
#[derive(Clone, Copy)]
struct Answer(&'static str, u8, &'static str);

/// One use of a script.
struct Case<'a> {
    args: &'a [&'a str],
    typed: &'static str,
    engines: &'static [&'static str],
    zone: &'static str,
    answers: &'a [Answer],
}

/// What came of it.
#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    code: i32,
    out: String,
    err: String,
    /// The commands that change something, as the engine got them.
    changes: Vec<String>,
}

fn case<'a>(args: &'a [&'a str], answers: &'a [Answer]) -> Case<'a> {
    Case { args, typed: "", engines: &["docker"], zone: "UTC", answers }
}

impl Case<'_> {
    /// Runs the shell script, and the other one as well where there is a PowerShell.
    fn run(&self) -> Outcome {
        let outcome = self.run_with(OsStr::new("/bin/sh"), "dockerbuild.sh");
        if let Some(pwsh) = find("pwsh") {
            assert_eq!(self.run_with(pwsh.as_os_str(), "dockerbuild.ps1"), outcome, "{:?} with PowerShell", self.args);
        }
        outcome
    }

    fn run_with(&self, interpreter: &OsStr, script: &str) -> Outcome {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let bin = TempDir::new().expect("a folder for programs");
        for tool in ["cat", "cut", "date", "dirname", "grep", "head", "od", "paste", "sed", "tail", "tr"] {
            symlink(find(tool).unwrap_or_else(|| panic!("no {tool}")), bin.path().join(tool)).expect("a link");
        }
        // The wait for the server takes no time.
        program(&bin.path().join("sleep"), "");
        let log = bin.path().join("log");
        for engine in self.engines {
            program(&bin.path().join(engine), &self.engine(&log));
        }
        let mut child = Command::new(interpreter)
            .arg(here.join(script))
            .args(self.args)
            // From another folder, and without a real engine in the path.
            .current_dir(&bin)
            .env_clear()
            .env("PATH", bin.path())
            .env("HOME", bin.path())
            .env("TZ", self.zone)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("a shell");
        // A script that reads nothing may have ended already.
        let _ = child.stdin.take().expect("a pipe").write_all(self.typed.as_bytes());
        let Output { status, stdout, stderr } = child.wait_with_output().expect("an end");

        let asked = fs::read_to_string(log).unwrap_or_default();
        let out = String::from_utf8(stdout).expect("UTF-8");
        let tag = format!("{asked}{out}").split_once(" --name gotcpclient").map(|(_, rest)| {
            let container = rest.split_once(' ').expect("more words").0;
            container[container.len() - 6..].to_owned()
        });
        if let Some(tag) = &tag {
            assert!(tag.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')), "{tag}");
        }
        let plain = |text: &str| {
            let word = |word: &str| if word.ends_with(script) { "ME".to_owned() } else { word.to_owned() };
            let text = text.split(' ').map(word).collect::<Vec<_>>().join(" ");
            let text = tag.as_ref().map_or(text.clone(), |tag| text.replace(tag, "TAG"));
            text.replace(here.to_str().expect("a plain path"), "HERE")
        };
        let looks = ["ps ", "container inspect", "network inspect", "logs ", "exec "];
        let changes = plain(&asked)
            .lines()
            .filter(|line| !looks.iter().any(|look| line.starts_with(look)))
            .map(str::to_owned)
            .collect();
        let err = plain(&String::from_utf8(stderr).expect("UTF-8"));
        Outcome { code: status.code().expect("an exit code"), out: plain(&out), err, changes }
    }

    /// An engine that records its commands and answers as the test says, after a warning that does not matter.
    fn engine(&self, log: &Path) -> String {
        let mut script = format!("printf '%s\\n' \"$*\" >> '{}'\n", log.display());
        script += "case $* in build* | run\\ --rm*) ;; *) echo 'warning: Error in some settings file' >&2 ;; esac\n";
        script += "case \"$*\" in\n";
        for Answer(start, code, text) in self.answers {
            let stream = if *code == 0 { 1 } else { 2 };
            writeln!(script, "'{start}'*) printf '%s\\n' '{text}' >&{stream}; exit {code} ;;").expect("a String");
        }
        script + "esac\n"
    }
}

/// A program of the search path.
fn find(name: &str) -> Option<PathBuf> {
    std::env::split_paths(&std::env::var_os("PATH")?).map(|folder| folder.join(name)).find(|path| path.is_file())
}

fn program(path: &Path, script: &str) {
    fs::write(path, format!("#!/bin/sh\n{script}")).expect("a program");
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("permissions");
}

/// The script fails with this exit code and this one line, and has given the engine exactly these commands.
fn refuses(case: &Case, code: i32, err: &str, changes: &[&str]) {
    let outcome = case.run();
    assert_eq!(outcome.err, format!("dockerbuild: {err}\n"), "{:?}", case.args);
    assert_eq!((outcome.code, outcome.out.as_str()), (code, ""), "{:?}", case.args);
    assert_eq!(outcome.changes, changes, "{:?}", case.args);
}

/// The script succeeds, prints this, and has given the engine exactly these commands.
fn does(case: &Case, out: &str, changes: &[&str]) {
    let outcome = case.run();
    assert_eq!((outcome.code, outcome.err.as_str(), outcome.out.as_str()), (0, "", out), "{:?}", case.args);
    assert_eq!(outcome.changes, changes, "{:?}", case.args);
}

/// `server` builds the image, and creates the network if there is none. A server that has ended is replaced.
#[test]
fn server_creates_what_is_missing() {
    let all = [BUILD_STAGE, BUILD, PRUNE, MAKE_NETWORK, START];
    does(&case(&["server"], &[NO_SERVER, NO_NETWORK]), RUNS, &all);
    does(&case(&["server"], &[NO_SERVER, NETWORK]), RUNS, &[BUILD_STAGE, BUILD, PRUNE, START]);
    let ended = Answer(SERVER.0, 0, "false");
    does(&case(&["server"], &[ended, NETWORK]), RUNS, &[BUILD_STAGE, BUILD, PRUNE, REMOVE, START]);
}

/// Address, subnet and port can be chosen, with a space or an equals sign; all that follows `--` goes to the server.
#[test]
fn server_takes_options() {
    let nothing = [NO_SERVER, NO_NETWORK];
    for args in
        [&["server", "--address=10.1.2.3", "--port=9000"][..], &["server", "--address", "10.1.2.3", "--port", "9000"]]
    {
        let network = MAKE_NETWORK.replace("192.168.111", "10.1.2");
        let start = START.replace("192.168.111.111", "10.1.2.3").replace("--publish 7777", "--publish 9000");
        let out = RUNS.replace("7777", "9000");
        does(&case(args, &nothing), &out, &[BUILD_STAGE, BUILD, PRUNE, &network, &start]);
    }
    let outcome = case(&["server", "--address", "10.1.2.3", "--subnet", "10.1.0.0/16"], &nothing).run();
    assert_eq!(outcome.changes[3], "network create --subnet 10.1.0.0/16 goTCPnet");

    let start = format!("{START} --rate 0 -qq --port 1 --help");
    let args = ["server", "--", "--rate", "0", "-qq", "--port", "1", "--help"];
    does(&case(&args, &nothing), RUNS, &[BUILD_STAGE, BUILD, PRUNE, MAKE_NETWORK, &start]);

    let start = START.replace("gotcp server", "--volume /usr:/files:ro,z gotcp server") + " --tls offered";
    let args = ["server", "--files", "/usr/../usr/", "--", "--tls", "offered"];
    does(&case(&args, &nothing), RUNS, &[BUILD_STAGE, BUILD, PRUNE, MAKE_NETWORK, &start]);
}

/// A client joins the server that is running, whatever its address, and is told the local time zone: an offset east of
/// UTC, which POSIX writes with a minus.
#[test]
fn client_joins_the_server() {
    does(&case(&["client", "carol"], &[ADDRESS]), "", &[JOIN]);
    let elsewhere = Answer(ADDRESS.0, 0, "10.1.2.3");
    does(&case(&["client", "carol"], &[elsewhere]), "", &[&JOIN.replace("192.168.111.111", "10.1.2.3")]);
    let args = ["client", "carol", "--", "--server", "tls://10.1.2.3"];
    does(&case(&args, &[ADDRESS]), "", &[&format!("{JOIN} --server tls://10.1.2.3")]);
    for (zone, told) in [("India-5:30", "local-05:30"), ("Newfoundland3:30", "local+03:30")] {
        let case = Case { zone, ..case(&["client", "carol"], &[ADDRESS]) };
        let outcome = case.run_with(OsStr::new("/bin/sh"), "dockerbuild.sh");
        assert_eq!(outcome.changes, [JOIN.replace("local-00:00", told)]);
    }
}

/// A name that is not given is asked for.
#[test]
fn client_asks_for_a_name() {
    let run = |typed| Case { typed, ..case(&["client"], &[ADDRESS]) }.run_with(OsStr::new("/bin/sh"), "dockerbuild.sh");
    let outcome = run("carol\n");
    assert_eq!((outcome.code, outcome.out.as_str()), (0, "Your name: "));
    assert_eq!(outcome.changes, [JOIN]);
    let outcome = run("");
    assert_eq!((outcome.code, outcome.err.as_str()), (1, "dockerbuild: joining takes a name\n"));
}

/// Two clients with the same name are two containers, and two people in the chat.
#[test]
fn each_client_has_its_own_digits() {
    let folder = TempDir::new().expect("a folder");
    program(&folder.path().join("docker"), "echo 192.168.111.111");
    let path = format!("{}:{}", folder.path().display(), std::env::var("PATH").expect("a search path"));
    let container = || {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("dockerbuild.sh");
        let output = Command::new(script).args(["client", "carol", "--dry-run"]).env("PATH", &path).output();
        let out = String::from_utf8(output.expect("a script").stdout).expect("UTF-8");
        out.split(' ').find(|word| word.starts_with("gotcpclientcarol")).expect("a container").to_owned()
    };
    assert_ne!(container(), container());
}

/// Any name is passed on as it is; the container's name keeps the characters that are allowed there. If the client
/// refuses a name, its message and exit code are the script's.
#[test]
fn any_name_is_passed_on() {
    for (name, plain) in [("Зоя", ""), ("zoë-2", "zo-2"), ("a/b $c;d", "abcd"), ("x.y_z", "x.y_z")] {
        let join = JOIN.replace("=carol", &format!("={name}")).replace("carol", plain);
        does(&case(&["client", name], &[ADDRESS]), "", &[&join]);
    }
    let outcome = case(&["client", "carol"], &[ADDRESS, Answer("run", 2, "gotcp: bad name")]).run();
    assert_eq!((outcome.code, outcome.err.as_str()), (2, "gotcp: bad name\n"));
}

/// `stop` removes what `server` created, and keeps a network that others use.
#[test]
fn stop_removes_what_server_created() {
    does(&case(&["stop"], &[SERVER, NETWORK]), KEPT, &["stop gotcpserver", REMOVE, REMOVE_NETWORK]);
    does(&case(&["stop"], &[NO_SERVER, NETWORK]), "", &[REMOVE_NETWORK]);
    does(&case(&["stop"], &[NO_SERVER, NO_NETWORK]), "dockerbuild: there is nothing to stop\n", &[]);
    let users = Answer("ps --all", 0, "gotcpclientcarol0b9189\ngotcpserver\ngotcpclientbob77a1f0");
    let kept = "dockerbuild: keeping goTCPnet, which is still used by gotcpclientcarol0b9189 gotcpclientbob77a1f0\n";
    does(&case(&["stop"], &[SERVER, NETWORK, users]), &format!("{KEPT}{kept}"), &["stop gotcpserver", REMOVE]);
}

/// A dry run shows the commands so that they can be typed, and runs none of them.
#[test]
fn dry_run_only_shows() {
    let shown = |commands: &[&str]| commands.iter().fold(String::new(), |text, line| text + "docker " + line + "\n");
    let all = shown(&[BUILD_STAGE, BUILD, PRUNE, MAKE_NETWORK, START]);
    does(&case(&["server", "--dry-run"], &[NO_SERVER, NO_NETWORK]), &all, &[]);
    let all = shown(&["stop gotcpserver", REMOVE]) + KEPT + &shown(&[REMOVE_NETWORK]);
    does(&case(&["--dry-run", "stop"], &[SERVER, NETWORK]), &all, &[]);
    let all = shown(&[&JOIN.replace("--username=carol#TAG", "'--username=carol#TAG'")]);
    does(&case(&["client", "--dry-run", "carol"], &[ADDRESS]), &all, &[]);
}

/// Podman is used where there is no Docker, or where it is asked for.
#[test]
fn podman_does_as_well() {
    let nothing = [NO_SERVER, NO_NETWORK];
    let with_podman = |build: &str| build.replace("build --force", "build --format=docker --force");
    let [stage, build] = [BUILD_STAGE, BUILD].map(with_podman);
    let changes = [stage.as_str(), &build, PRUNE, MAKE_NETWORK, START];
    let podman = Case { engines: &["podman"], ..case(&["server"], &nothing) };
    does(&podman, &RUNS.replace("docker logs", "podman logs"), &changes);
    let no_docker = Case { args: &["server", "--engine", "docker"], ..podman };
    refuses(&no_docker, 1, "there is no docker on this machine; Docker or Podman is needed", &[]);

    let both = Case { engines: &["docker", "podman"], ..case(&["server"], &nothing) };
    assert_eq!(both.run().changes[0], BUILD_STAGE);
    assert_eq!(Case { args: &["server", "--engine=podman"], ..both }.run().changes[0], stage);
}

/// Every obstacle is reported in one line, and nothing that was created before stays.
#[test]
fn failures_are_one_line_and_leave_nothing() {
    let server: &[&str] = &["server"];
    let nothing = |answer| [NO_SERVER, NO_NETWORK, answer];
    refuses(&case(server, &[SERVER]), 1, "the server is already running; to stop it: ME stop", &[]);
    refuses(&case(&["client", "carol"], &[NO_SERVER]), 1, "no server is running; to start one: ME server", &[]);
    let away = "Cannot connect to the Docker daemon at unix:///x. Is the docker daemon running?";
    refuses(&case(server, &[Answer("ps", 1, away)]), 1, &format!("docker does not answer: {away}"), &[]);
    refuses(
        &case(server, &[NO_SERVER, Answer(NETWORK.0, 0, r#"[ { "subnet": "10.0.0.0/8" } ]"#)]),
        1,
        "goTCPnet already exists, with the subnet 10.0.0.0/8; remove it with ME stop, or give an --address in it",
        &[],
    );
    let outcome = case(server, &nothing(Answer(BUILD_STAGE.split_at(20).0, 1, "no such image"))).run();
    assert_eq!(outcome.err, "no such image\ndockerbuild: cannot build the image\n");
    assert_eq!((outcome.code, outcome.changes), (1, vec![BUILD_STAGE.to_owned()]));
    let built = [BUILD_STAGE, BUILD, PRUNE];
    refuses(
        &case(server, &nothing(Answer("network create", 1, "Error response from daemon: Pool overlaps"))),
        1,
        "cannot create goTCPnet with the subnet 192.168.111.0/24: Pool overlaps",
        &[&built[..], &[MAKE_NETWORK]].concat(),
    );
    let undone = [&built[..], &[MAKE_NETWORK, START, REMOVE, REMOVE_NETWORK]].concat();
    let no_room = nothing(Answer("run", 125, "Error: no room"));
    refuses(&case(server, &no_room), 1, "cannot start the server: no room", &undone);
    let taken = "port 7777 of this machine is taken; choose another with --port";
    refuses(&case(server, &nothing(PORT_TAKEN)), 1, taken, &undone);
    // A network that was there before stays.
    let undone = [&built[..], &[START, REMOVE]].concat();
    refuses(&case(server, &[NO_SERVER, NETWORK, PORT_TAKEN]), 1, taken, &undone);
    let silent = [NO_SERVER, NETWORK, Answer("exec", 1, ""), Answer("logs", 0, "gotcp: cannot listen")];
    refuses(&case(server, &silent), 1, "the server does not answer: gotcp: cannot listen", &undone);
}

/// Wrong usage is reported in one line, before the engine is asked for anything.
#[test]
fn wrong_usage_is_one_line() {
    let wrong: &[(&[&str], &str)] = &[
        (&[], "say what to do: server, client or stop"),
        (&["frob"], "say what to do: server, client or stop"),
        (&["server", "--frob"], "there is no option --frob; options for gotcp itself come after '--'"),
        (&["server", "--port"], "--port needs a value"),
        (&["server", "--port", "0"], "0 is not a port"),
        (&["server", "--port", "65536"], "65536 is not a port"),
        (&["server", "--port", "http"], "http is not a port"),
        (&["server", "--address", "here"], "here is not an address like 192.168.111.111"),
        (&["server", "--address=10.1.2.256"], "10.1.2.256 is not an address like 192.168.111.111"),
        (&["server", "--address=10.1.2.010"], "10.1.2.010 is not an address like 192.168.111.111"),
        (&["server", "--address="], " is not an address like 192.168.111.111"),
        (&["server", "--address", "10.1.2.1"], "10.1.2.1 cannot be used: it is the gateway of 10.1.2.0/24"),
        (&["server", "--address", "10.1.2.0"], "10.1.2.0 cannot be used: it is at an end of 10.1.2.0/24"),
        (&["server", "--address", "10.1.2.255"], "10.1.2.255 cannot be used: it is at an end of 10.1.2.0/24"),
        (&["server", "--subnet", "10.1.0.0/16"], "192.168.111.111 is not in the subnet 10.1.0.0/16"),
        (&["server", "--subnet", "200.0.0.0/8"], "192.168.111.111 is not in the subnet 200.0.0.0/8"),
        (&["server", "--subnet", "all"], "all is not a subnet like 192.168.111.0/24"),
        (&["server", "--subnet", "10.1.2.0/31"], "10.1.2.0/31 is not a subnet like 192.168.111.0/24"),
        (&["server", "--subnet", "10.1.2.3/24"], "10.1.2.3/24 is not a subnet like 192.168.111.0/24"),
        (&["server", "--engine", "train"], "train is neither docker nor podman"),
        (&["server", "twice"], "unexpected argument twice"),
        (&["client", "carol", "bob"], "unexpected argument bob"),
        (&["client", "--port", "9000"], "--port is for server only"),
        (&["stop", "--", "--no-bell"], "'--' is for server and client only"),
        (&["server", "--files", "/nowhere"], "/nowhere is not a folder"),
        (&["client", "--files=/"], "--files is for server only"),
        (&["stop", "--address=10.1.2.3"], "--address is for server only"),
    ];
    for (args, err) in wrong {
        refuses(&case(args, &[Answer("", 1, "it was asked")]), 2, &format!("{err} (see ME -h)"), &[]);
    }
}

/// Help needs no engine.
#[test]
fn help_needs_no_engine() {
    for arg in ["-h", "--help"] {
        let outcome = Case { engines: &[], ..case(&[arg], &[]) }.run();
        assert_eq!((outcome.code, outcome.err.as_str()), (0, ""));
        for word in
            ["ME server ", "ME client [NAME] ", "ME stop ", "--address", "--port", "--files", "'--'", "--dry-run"]
        {
            assert!(outcome.out.contains(word), "no {word} in {}", outcome.out);
        }
    }
}

/// Even where no PowerShell can run it, dockerbuild.ps1 has the same help as dockerbuild.sh, the same functions, and in
/// the same order the same commands for the engine and the same sentences for people.
#[test]
fn the_two_scripts_read_alike() {
    let help = |script: &'static str, start, end| {
        let text = script.split_once(start).expect("a start").1;
        text.split_once(end).expect("an end").0
    };
    assert_eq!(help(POWERSHELL, "@\"\n", "\"@"), help(SHELL, "<< END\n", "END\n"));

    let shell = story(
        &SHELL
            .replace("\\\n", " ")
            .replace("\"$@\"", "@options")
            .replace("${format:+\"$format\"}", "@format")
            .replace("${files:+--volume \"$files:/files:ro,z\"}", "@mount"),
    );
    let powershell = story(&POWERSHELL.replace("`\n", " "));
    assert_eq!(powershell, shell);
    assert!(shell.len() > 50, "{shell:#?}");
    // Windows PowerShell reads a script without a byte order mark in the local code page.
    assert!(POWERSHELL.is_ascii());
}

/// The calls of the functions that speak to the engine or to people, with their arguments, in order.
fn story(script: &str) -> Vec<String> {
    let mut story = Vec::new();
    for line in script.lines().map(str::trim).filter(|line| !line.starts_with(['#', 'f'])) {
        for verb in ["look", "tell", "must", "run", "say", "die", "wrong"] {
            for (at, _) in line.match_indices(&format!("{verb} ")) {
                let is_call = at == 0 || line[..at].ends_with([' ', '(']) && !line[..at].contains("() {");
                let rest = &line[at..];
                if !is_call || rest.contains("\"$1") || rest.contains("$what") {
                    continue;
                }
                let end = [") {", ") ", " }", ")}", " ||", "; then", "; do", ")) {", ";"];
                let quoted = |at: usize| rest[..at].matches('"').count() % 2 == 1;
                let end =
                    end.iter().flat_map(|end| rest.match_indices(end)).map(|(at, _)| at).filter(|&at| !quoted(at));
                let call = &rest[..end.min().unwrap_or(rest.len())];
                story.push(call.trim_end_matches(')').split_whitespace().collect::<Vec<_>>().join(" "));
            }
        }
    }
    story
}
