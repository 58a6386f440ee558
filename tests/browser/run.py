"""The page in a real browser, with the built server: `tests/browser/run.py PROGRAM [--only TEST] [--picture FILE]`.

It needs Playwright (from PyPI) and Debian's chromium; `.ci/web` gets both. Each test has a server and a browser window of its
own, and says what it has seen. With --picture it also takes the picture that README shows.
"""

import argparse
import atexit
import contextlib
import http.server
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from playwright.sync_api import expect, sync_playwright

PATIENCE = 30
EVIL = "evil.example"


class Server:
    """A running server, at an address that stays the same over a restart."""

    def __init__(self, program, options=""):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.home = tempfile.TemporaryDirectory()
        self.command = [program, "server", "--listen", f"127.0.0.1:{self.port}", "--web", *options.split()]
        self.start()

    def start(self):
        quiet = dict(stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        self.process = subprocess.Popen(self.command, env={**os.environ, "XDG_STATE_HOME": self.home.name}, **quiet)
        # Also where a test fails.
        atexit.register(self.process.kill)
        retry(lambda: socket.create_connection(("127.0.0.1", self.port)).close())

    def end(self, how=signal.SIGTERM):
        self.process.send_signal(how)
        self.process.wait(PATIENCE)

    @property
    def address(self):
        return f"http://127.0.0.1:{self.port}/"


class Peer:
    """A client as plain as `nc`."""

    def __init__(self, server, name):
        self.socket = socket.create_connection(("127.0.0.1", server.port), PATIENCE)
        self.lines = self.socket.makefile(encoding="utf-8", newline="\n")
        self.say(name)
        self.read_to(f"*** {name} joined")

    def say(self, text):
        self.socket.sendall((text + "\n").encode())

    def read_to(self, line):
        """Reads on to a line; returns those before it."""
        before = []
        for heard in self.lines:
            if heard == line + "\n":
                return before
            before.append(heard.rstrip("\n"))
        raise AssertionError(f"{line!r} never came, but {before[-5:]}")


def retry(attempt):
    """Tries until it works."""
    give_up = time.monotonic() + PATIENCE
    while True:
        try:
            return attempt()
        except (OSError, AssertionError):
            if time.monotonic() > give_up:
                raise
            time.sleep(0.05)


class Window:
    """A page of the server's, and what goes wrong in it."""

    def __init__(self, browser, server, **options):
        self.context = browser.new_context(**options)
        self.page = self.context.new_page()
        self.troubles = []
        self.page.on("pageerror", lambda error: self.troubles.append(str(error)))
        self.page.on("console", lambda message: message.type == "error" and self.troubles.append(message.text))
        self.page.goto(server.address)

    def join(self, name):
        self.page.fill("#name", name)
        self.page.keyboard.press("Enter")
        self.has_status(name)
        return self

    def say(self, text):
        self.page.fill("#text", text)
        self.page.keyboard.press("Enter")

    def has_status(self, text):
        expect(self.page.locator("#status")).to_have_text(text, timeout=PATIENCE * 1000)

    def shows(self, text):
        expect(self.page.locator("#log")).to_contain_text(text, timeout=PATIENCE * 1000)

    def lines(self):
        """What is shown, without the times."""
        return self.page.eval_on_selector_all("#log .line > span", "nodes => nodes.map(node => node.textContent)")

    def phase(self):
        return self.page.evaluate("phase")

    def pending(self):
        return self.page.locator("#pending .line").count()

    def is_heard(self):
        """Waits until the server is known to have heard everything."""
        retry(lambda: check(self.page.evaluate("session.unheard.length") == 0, "something is unheard"))

    def close(self):
        assert not self.troubles, self.troubles
        self.context.close()


def two_pages_and_nc_talk(browser, program):
    server = Server(program)
    carol = Window(browser, server).join("carol")
    bob = Peer(server, "bob")
    dave = Window(browser, server, viewport={"width": 390, "height": 700}, color_scheme="dark").join("dave")
    bob.say("안녕, carol 🎉")
    bob.say("!msg carol psst")
    carol.say("hi all")
    dave.say("/me waves")
    bob.read_to("* dave waves")
    for window in (carol, dave):
        for line in ("bob: 안녕, carol 🎉", "carol: hi all", "* dave waves"):
            window.shows(line)
    carol.shows("bob to you: psst")
    assert "psst" not in "".join(dave.lines())
    assert carol.page.locator("mark").all_text_contents() == ["carol"]
    # Completion: a command, then a name.
    carol.page.fill("#text", "/wh")
    carol.page.keyboard.press("Tab")
    assert carol.page.input_value("#text") == "/who "
    carol.page.fill("#text", "well, BO")
    carol.page.keyboard.press("Tab")
    assert carol.page.input_value("#text") == "well, bob "
    carol.page.fill("#text", "hello")
    carol.page.click("#who")
    expect(carol.page.locator("#people li")).to_have_text(["bob", "carol", "dave"])
    # A name that is tapped is who a whisper is for; another one instead of it.
    for name in ("bob", "dave"):
        carol.page.locator("#people li").get_by_text(name).click()
        assert carol.page.input_value("#text") == f"/msg {name} hello"
    carol.page.fill("#text", "")
    # Names can be changed, and are kept.
    carol.say("/nick caro")
    carol.has_status("caro")
    carol.page.reload()
    carol.has_status("caro")
    retry(lambda: check(carol.lines()[-1:] == ["carol is now caro"], carol.lines()))
    assert carol.lines().count("carol: hi all") == 1
    carol.say("/exit bye")
    carol.has_status("you have left")
    bob.read_to("*** caro left: bye")
    carol.page.get_by_text("Join again").click()
    carol.has_status("caro")
    for window in (carol, dave):
        window.close()
    server.end()


def check(truth, what):
    assert truth, what


def a_kill_loses_nothing(browser, program):
    with tempfile.TemporaryDirectory() as folder:
        server = Server(program, f"--log {folder}/room.db --rate 0")
        bob = Peer(server, "bob")
        carol = Window(browser, server).join("carol")
        count = 0
        for _ in range(4):
            for _ in range(25):
                count += 1
                carol.say(f"line {count}")
            server.end(signal.SIGKILL)
            for _ in range(5):
                count += 1
                carol.say(f"line {count}")
            assert carol.pending() >= 5
            expect(carol.page.locator("#status")).to_contain_text("waiting")
            server.start()
            carol.has_status("carol")
        # Others saw every line, once and in order.
        carol.shows(f"carol: line {count}")
        retry(lambda: check(carol.pending() == 0, "something is pending"))
        said = [f"carol: line {number + 1}" for number in range(count)]
        assert [line for line in carol.lines() if line.startswith("carol: ")] == said
        carol.page.reload()
        carol.shows(f"carol: line {count}")
        shown = [line for line in carol.lines() if line.startswith("carol: ")]
        assert shown == said[-len(shown):] and len(shown) > 50, shown
        log = subprocess.run([program, "log", f"{folder}/room.db"], capture_output=True, text=True, check=True).stdout
        assert [line.split(" ", 1)[1] for line in log.splitlines() if " carol: " in line] == said, log
        # The server being away is not a mistake of the page's.
        carol.troubles = [trouble for trouble in carol.troubles if "WebSocket connection" not in trouble]
        carol.close()
        bob.socket.close()
        server.end()


def a_second_window_takes_over(browser, program):
    server = Server(program)
    first = Window(browser, server).join("carol")
    second = first.context.new_page()
    second.goto(server.address)
    expect(second.locator("#status")).to_have_text("carol")
    first.has_status("you go on in another window")
    # What is typed in a window that does not have the session stays where it was typed.
    second.fill("#text", "from the second")
    second.keyboard.press("Enter")
    first.say("from the first")
    assert first.page.input_value("#text") == "from the first"
    first.page.get_by_text("Go on here").click()
    first.has_status("carol")
    assert first.page.input_value("#text") == "from the first"
    first.shows("carol: from the second")
    expect(second.locator("#status")).to_have_text("you go on in another window")
    # A line that waits in one of them is said once, whichever of them comes back first.
    server.end(signal.SIGKILL)
    first.say("only once")
    server.start()
    second.reload()
    first.has_status("you go on in another window")
    expect(second.locator("#status")).to_have_text("carol")
    bob = Peer(server, "bob")
    bob.say("the end")
    expect(second.locator("#log")).to_contain_text("bob: the end")
    first.page.get_by_text("Go on here").click()
    first.has_status("carol")
    first.shows("bob: the end")
    assert first.lines().count("carol: only once") == 1
    first.troubles = [trouble for trouble in first.troubles if "WebSocket connection" not in trouble]
    first.close()
    server.end()


def a_window_that_is_over_stays_so(browser, program):
    server = Server(program)
    # One that asks for a name, too: what it offers can be reached.
    first = Window(browser, server)
    expect(first.page.locator("#name")).to_be_visible()
    second = first.context.new_page()
    second.goto(server.address)
    first.has_status("you go on in another window")
    expect(first.page.locator("#door")).to_be_hidden()
    second.fill("#name", "carol")
    second.keyboard.press("Enter")
    expect(second.locator("#status")).to_have_text("carol")
    first.page.get_by_text("Go on here").click()
    first.has_status("carol")
    # It was about to come back when another one took over, said what waited, and left.
    server.end(signal.SIGKILL)
    first.say("only once")
    retry(lambda: check(first.page.evaluate("retry.delay") >= 2000, "it tries often"))
    server.start()
    bob = Peer(server, "bob")
    second.reload()
    expect(second.locator("#status")).to_have_text("carol")
    expect(second.locator("#log")).to_contain_text("carol: only once")
    second.fill("#text", "/exit")
    second.keyboard.press("Enter")
    bob.read_to("*** carol left")
    first.page.wait_for_timeout(first.page.evaluate("retry.at - Date.now()") + 1000 if first.phase() == "waiting" else 3000)
    bob.say("the end")
    assert bob.read_to("bob: the end") == []
    first.troubles = [trouble for trouble in first.troubles if "WebSocket connection" not in trouble]
    first.close()
    server.end()


def a_line_outlives_a_window(browser, program):
    server = Server(program)
    first = Window(browser, server).join("carol")
    first.is_heard()
    server.process.send_signal(signal.SIGSTOP)
    first.say("x")
    # What the page asks by itself counts, so whoever goes on has to know of it.
    retry(lambda: check(first.page.evaluate("session.unheard.some(({ ours }) => ours)"), "it has not asked"))
    stored = first.page.evaluate("JSON.parse(localStorage['gotcp.session']).unheard.length")
    assert stored == first.page.evaluate("session.unheard.length")
    second = first.context.new_page()
    server.process.send_signal(signal.SIGCONT)
    second.goto(server.address)
    expect(second.locator("#status")).to_have_text("carol")
    second.fill("#text", "y")
    second.keyboard.press("Enter")
    expect(second.locator("#log")).to_contain_text("carol: y")
    assert second.locator("#log").get_by_text("carol: x").count() == 1
    second.close()
    # What is kept may be anything; then the page begins anew.
    for value in ("{}", '"x"', "5", "[]", '{"owner":"z"}', '{"unheard":null}', "nonsense"):
        first.page.evaluate("value => { onpagehide = () => localStorage['gotcp.session'] = value }", value)
        first.page.reload()
        expect(first.page.locator("#status")).not_to_have_text("connecting")
    first.close()
    server.end()


def leaving_is_told_from_a_break(browser, program):
    with tempfile.TemporaryDirectory() as folder:
        server = Server(program, f"--log {folder}/room.db")
        carol = Window(browser, server).join("carol")
        # It looks like a farewell, and is none.
        for text in ("/exit?", "/quit.", "!exit-code", "hello"):
            carol.say(text)
        carol.shows("carol: hello")
        server.end(signal.SIGKILL)
        server.start()
        carol.has_status("carol")
        # A farewell that was not heard is said again, with what was said before it.
        server.process.send_signal(signal.SIGSTOP)
        carol.say("last thing")
        carol.say("/exit bye")
        server.end(signal.SIGKILL)
        server.start()
        bob = Peer(server, "bob")
        carol.has_status("you have left")
        # What was shown is not shown again to those who come back.
        carol.page.get_by_text("Join again").click()
        carol.has_status("carol")
        bob.say("the end")
        carol.shows("bob: the end")
        lines = carol.lines()
        assert lines.count("carol: last thing") == 1 and lines.count("carol left: bye") == 1, lines
        carol.troubles = [trouble for trouble in carol.troubles if "WebSocket connection" not in trouble]
        carol.close()
        server.end()


def who_was_forgotten_joins_anew(browser, program):
    with tempfile.TemporaryDirectory() as folder:
        # After a kill the server knows what was said, and nobody's session.
        server = Server(program, f"--transcript {folder}/said")
        carol = Window(browser, server).join("carol")
        for number in range(5):
            carol.say(f"line {number}")
        carol.shows("carol: line 4")
        # What is not known to be heard is said again.
        carol.is_heard()
        server.end(signal.SIGKILL)
        carol.say("line 5")
        server.start()
        carol.shows("carol: line 5")
        said = [line for line in carol.lines() if line.startswith("carol: ")]
        assert said == [f"carol: line {number}" for number in range(6)], said
        carol.is_heard()
        # A page that is loaded anew before it could say what it has to still says it.
        server.end(signal.SIGKILL)
        carol.say("line 6")
        server.start()
        carol.page.reload()
        carol.shows("carol: line 6")
        carol.troubles = [trouble for trouble in carol.troubles if "WebSocket connection" not in trouble]
        carol.close()
        server.end()


def it_speaks_tls(browser, program):
    server = Server(program, "--tls required")
    # A page asked for in plain text leads to the one in TLS; nobody vouches for the certificate.
    carol = Window(browser, server, ignore_https_errors=True).join("carol")
    assert carol.page.url.startswith("https://"), carol.page.url
    carol.say("hello")
    carol.shows("carol: hello")
    server.end()
    server.start()
    carol.has_status("carol")
    carol.troubles = [trouble for trouble in carol.troubles if "WebSocket connection" not in trouble]
    carol.close()
    server.end()


def names_are_checked(browser, program):
    server = Server(program)
    carol = Window(browser, server)
    for name in ("!exit", "/quit", "-carol"):
        carol.page.fill("#name", name)
        carol.page.keyboard.press("Enter")
        expect(carol.page.locator("#wrong")).to_have_text("a name begins with a letter, a digit or _")
    carol.page.fill("#name", "ca:rol")
    carol.page.keyboard.press("Enter")
    expect(carol.page.locator("#wrong")).to_contain_text("bad name")
    carol.page.reload()
    carol.join("carol")
    carol.close()
    server.end()


def any_address_will_do(browser, program):
    server = Server(program)
    server.end()
    server.command[server.command.index("--listen") + 1] = f"[::]:{server.port}"
    server.start()
    for host in ("[::1]", "localhost", "127.0.0.1"):
        page = browser.new_page()
        troubles = []
        page.on("console", lambda message, troubles=troubles: troubles.append(message.text))
        page.goto(f"http://{host}:{server.port}/")
        page.fill("#name", "carol")
        page.keyboard.press("Enter")
        expect(page.locator("#status")).to_have_text("carol")
        assert not troubles, troubles
        page.fill("#text", "/exit")
        page.keyboard.press("Enter")
        expect(page.locator("#status")).to_have_text("you have left")
        page.close()
    server.end()


def a_password_is_asked_for(browser, program):
    with tempfile.TemporaryDirectory() as folder:
        word = Path(folder, "word")
        word.write_text("open sesame\n")
        server = Server(program, f"--password-file {word}")
        carol = Window(browser, server)
        carol.page.fill("#name", "carol")
        carol.page.keyboard.press("Enter")
        for guess in ("open barley", "open sesame"):
            expect(carol.page.locator("#password")).to_be_visible()
            carol.page.fill("#password", guess)
            carol.page.keyboard.press("Enter")
        carol.has_status("carol")
        carol.close()
        # A name that somebody has is asked for anew.
        dave = Window(browser, server)
        other = socket.create_connection(("127.0.0.1", server.port), PATIENCE)
        other.sendall(b"!password open sesame\ndave\n")
        retry(lambda: check(b"dave joined" in other.recv(65536), "dave"))
        dave.page.fill("#name", "dave")
        dave.page.keyboard.press("Enter")
        dave.page.fill("#password", "open sesame")
        dave.page.keyboard.press("Enter")
        expect(dave.page.locator("#wrong")).to_have_text("the name dave is taken")
        dave.page.fill("#name", "dave2")
        dave.page.keyboard.press("Enter")
        dave.has_status("dave2")
        dave.close()
        server.end()


def what_is_said_is_only_text(browser, program):
    server = Server(program)
    carol = Window(browser, server).join("carol")
    bob = Peer(server, "bob")
    hostile = [
        "<script>document.title = 'broken'</script>",
        "<img src=x onerror=\"document.title = 'broken'\">",
        "</script><svg onload=alert(1)>",
        "javascript:alert(1) http://example.org/",
        "&lt;b&gt; &amp; \\u003cscript\\u003e",
        "\u202e backwards \u2066 isolated",
        "z\u0350\u0351\u0352\u0353\u0354" * 100,
        "x" * 65_000,
        "שלום عربى",
    ]
    for text in hostile:
        bob.say(text)
    bob.say("the end")
    carol.shows("bob: the end")
    shown = carol.lines()
    for text in hostile[:5] + hostile[6:]:
        assert f"bob: {text}" in shown, text
    assert "bob: \ufffd backwards \ufffd isolated" in shown
    assert carol.page.title() == "gotcp"
    assert carol.page.locator("#log").evaluate("log => log.querySelectorAll('script, img, svg, a, iframe').length") == 0
    wide = carol.page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth")
    assert not wide, "a line is wider than the page"
    # Whatever a page runs has to be its own: what somebody puts in is not.
    carol.page.evaluate("""() => {
        const script = document.createElement("script");
        script.textContent = "document.title = 'broken'";
        document.body.append(script);
    }""")
    assert carol.page.title() == "gotcp"
    assert any("Content Security Policy" in trouble for trouble in carol.troubles)
    carol.troubles.clear()
    carol.close()
    server.end()


ATTACK = """
<!doctype html><title>attack</title><form id=form method=post enctype=text/plain target=frame><input name="evil
hello from evil
" value=x></form><iframe name=frame></iframe><script>
const target = new URLSearchParams(location.search).get("target");
const outcome = {};
const done = (key, value) => { outcome[key] = value; document.title = JSON.stringify(outcome); };
fetch(`http://${target}/`, { method: "POST", mode: "no-cors", body: "evil\\nhello from evil\\n" })
    .then(() => done("post", "sent"), () => done("post", "failed"));
fetch(`http://${target}/`, { mode: "cors" }).then(() => done("read", "read"), () => done("read", "failed"));
const socket = new WebSocket(`ws://${target}/ws`);
socket.onopen = () => done("upgrade", "open");
socket.onerror = () => done("upgrade", "refused");
form.action = `http://${target}/`;
form.submit();
</script>
"""


def pages_from_elsewhere_get_nowhere(browser, program):
    server = Server(program)
    witness = Peer(server, "witness")

    class Elsewhere(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(ATTACK.encode())

        def handle(self):
            # A browser may hang up on it.
            with contextlib.suppress(OSError):
                super().handle()

        def log_message(self, *_):
            pass

    elsewhere = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Elsewhere)
    threading.Thread(target=elsewhere.serve_forever, daemon=True).start()
    page = browser.new_page()
    port = elsewhere.server_address[1]
    # From another origin; and from a name that leads here, for which the attack is of the same origin.
    for target in (f"127.0.0.1:{server.port}", f"{EVIL}:{server.port}"):
        page.goto(f"http://{EVIL}:{port}/?target={target}")
        page.wait_for_function("document.title.split(',').length === 3", timeout=PATIENCE * 1000)
        outcome = json.loads(page.title())
        # What is no HTTP in answer to a post is a failure to the browser.
        assert outcome == {"post": "failed", "read": "failed", "upgrade": "refused"}, outcome
    page.goto(f"http://{EVIL}:{server.port}/")
    assert f"--web-host {EVIL}" in page.text_content("body")
    page.close()
    # The page cannot be put into a frame of somebody else's, for them to have it clicked.
    framing = browser.new_page()
    framing.set_content(f'<iframe src="{server.address}"></iframe>')
    framing.wait_for_timeout(1000)
    assert framing.frames[1].evaluate("document.querySelector('#talk') === null")
    framing.close()
    elsewhere.shutdown()
    witness.say("still alone")
    assert witness.read_to("witness: still alone") == []
    server.end()


def a_flood_leaves_it_usable(browser, program):
    server = Server(program, "--rate 0")
    carol = Window(browser, server).join("carol")
    carol.page.evaluate("""() => {
        window.delays = [];
        document.querySelector("#text").addEventListener("keydown", ({ timeStamp }) =>
            requestAnimationFrame(() => setTimeout(() => window.delays.push(performance.now() - timeStamp))));
    }""")
    bob = Peer(server, "bob")
    threading.Thread(target=lambda: [None for _ in bob.lines], daemon=True).start()

    def flood():
        start = time.monotonic()
        for second in range(100):
            bob.say("\n".join(f"{second * 100 + i} and a few words, as people say them" for i in range(100)))
            time.sleep(max(0, start + (second + 1) / 10 - time.monotonic()))

    flooding = threading.Thread(target=flood)
    flooding.start()
    carol.page.locator("#text").focus()
    while flooding.is_alive():
        carol.page.keyboard.type("a")
        time.sleep(0.05)
    carol.page.keyboard.press("Enter")
    carol.shows("bob: 9999 and a few words")
    retry(lambda: check(carol.pending() == 0, "something is pending"))
    lines = [line for line in carol.lines() if line.startswith("bob: ")]
    numbers = [int(line.split()[1]) for line in lines]
    assert numbers == list(range(numbers[0], 10_000)) and len(numbers) > 9500, (numbers[:3], len(numbers))
    delays = sorted(carol.page.evaluate("window.delays"))
    print(f"  1000 lines a second: a key is shown after {delays[len(delays) // 2]:.0f} ms"
          f" (99th of 100: {delays[len(delays) * 99 // 100]:.0f} ms)")
    frames = carol.page.evaluate("""() => new Promise((done) => {
        const scroller = document.querySelector("#scroller");
        const times = [];
        let last = performance.now();
        const step = () => {
            const now = performance.now();
            times.push(now - last);
            last = now;
            scroller.scrollTop -= 1500;
            if (scroller.scrollTop > 0 && times.length < 600) requestAnimationFrame(step);
            else done(times.sort((a, b) => a - b));
        };
        requestAnimationFrame(step);
    })""")
    print(f"  10,000 lines scrolled: a frame takes {frames[len(frames) // 2]:.0f} ms"
          f" (99th of 100: {frames[len(frames) * 99 // 100]:.0f} ms, of {len(frames)})")
    # Whoever reads what was said before is not torn away from it.
    before = carol.page.evaluate("document.querySelector('#scroller').scrollTop")
    bob.say("news")
    carol.page.locator("#newer").click()
    assert before < 1500
    expect(carol.page.locator("#newer")).to_be_hidden()
    expect(carol.page.locator("#log .line").last).to_be_in_viewport()
    carol.close()
    server.end()


def everybody_can_use_it(browser, program):
    try:
        from axe_core_python.sync_playwright import Axe
    except ImportError:
        print("  skipped: axe is not installed")
        return
    server = Server(program)
    bob = Peer(server, "bob")
    for scheme in ("light", "dark"):
        carol = Window(browser, server, color_scheme=scheme)
        inspect(Axe(), carol.page)
        carol.join(f"carol-{scheme}")
        bob.say(f"hi carol-{scheme}")
        bob.say(f"!msg carol-{scheme} psst")
        bob.say("!notice nothing")
        carol.say("/nonsense\n!nonsense\nhello")
        carol.shows("hello")
        carol.page.click("#who")
        inspect(Axe(), carol.page)
        # With the keyboard alone: from the text to the button that sends, and back.
        carol.page.locator("#text").focus()
        carol.page.keyboard.press("Tab")
        assert carol.page.evaluate("document.activeElement.textContent") == "Send"
        assert carol.page.locator("[role=log]").count() == 1
        carol.close()
    server.end()


def inspect(axe, page):
    violations = axe.run(page)["violations"]
    found = [(one["id"], node["html"], node["failureSummary"]) for one in violations for node in one["nodes"]]
    assert not found, found


def picture(browser, program, file):
    server = Server(program)
    bob = Peer(server, "bob")
    carol = Window(browser, server, viewport={"width": 860, "height": 420}, device_scale_factor=1.5).join("carol")
    dan = Peer(server, "dan")
    bob.say("anybody near the coffee machine?")
    carol.shows("coffee")
    dan.say("on my way, two minutes")
    bob.say("!me waits")
    carol.say("bring me one, too?")
    carol.shows("bring me one")
    bob.say("sure, carol")
    bob.say("!msg carol with milk, as ever?")
    carol.shows("as ever?")
    carol.page.click("#who")
    carol.page.fill("#text", "you know me ☕")
    carol.page.evaluate("document.querySelectorAll('#log .line').forEach((line) => line.textContent.includes('before') && line.remove())")
    carol.page.screenshot(path=file)
    carol.close()
    server.end()


TESTS = [
    two_pages_and_nc_talk,
    a_kill_loses_nothing,
    a_second_window_takes_over,
    a_window_that_is_over_stays_so,
    a_line_outlives_a_window,
    leaving_is_told_from_a_break,
    who_was_forgotten_joins_anew,
    it_speaks_tls,
    names_are_checked,
    any_address_will_do,
    a_password_is_asked_for,
    what_is_said_is_only_text,
    pages_from_elsewhere_get_nowhere,
    a_flood_leaves_it_usable,
    everybody_can_use_it,
]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("program")
    parser.add_argument("--picture", metavar="FILE")
    parser.add_argument("--only", metavar="TEST", choices=[test.__name__ for test in TESTS])
    options = parser.parse_args()
    program = os.path.abspath(options.program)
    with sync_playwright() as playwright:
        flags = ["--no-sandbox", f"--host-resolver-rules=MAP {EVIL} 127.0.0.1"]
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=flags)
        for test in TESTS:
            if options.only in (None, test.__name__):
                print(test.__name__.replace("_", " "), flush=True)
                test(browser, program)
        if options.picture:
            picture(browser, program, options.picture)
        browser.close()


sys.exit(main())
