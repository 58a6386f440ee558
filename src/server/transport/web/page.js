"use strict";
// The client of a browser. What is on the wire is in PROTOCOL.md; the session is kept as it says there, "how a line arrives
// once": we count the bytes that we have read, and the server counts the lines that it has heard.
//
// Nothing that anybody says becomes anything but text: nodes are made by `make`, and text is put in as text.

// ---- What is kept for a page that is loaded anew ----

const kept = {
  get(key) {
    try { return JSON.parse(localStorage.getItem("gotcp." + key)); } catch { return null; }
  },
  set(key, value) {
    // Where nothing can be kept, a page that is loaded anew begins anew.
    try { localStorage.setItem("gotcp." + key, JSON.stringify(value)); } catch { }
  },
};

// What was being typed when somebody had this page loaded anew.
const draft = {
  keep(text) {
    try { sessionStorage.setItem("gotcp.draft", text); } catch { }
  },
  take() {
    try {
      const text = sessionStorage.getItem("gotcp.draft");
      sessionStorage.removeItem("gotcp.draft");
      return text ?? "";
    } catch { return ""; }
  },
};

// How many lines are shown again by a page that is loaded anew.
const SHOWN_AGAIN = 500;

// `unheard` are the lines that are sent, or wait to be, and that the server is not known to have heard; `heard` is how many
// it has. Those that are `ours` the page has sent by itself. `read` is our position; `starts` are those of the latest lines.
const fresh = () => ({ token: null, read: 0, starts: [], heard: 0, unheard: [] });
// Of several windows only one has the session, and what is kept: the one that was opened last.
const me = Math.random().toString(36);
let name = kept.get("name");
let session = fresh();
// Up to which position the page has shown everything before it was loaded anew.
let shownTo = 0;

function recall() {
  const before = kept.get("session");
  // Whatever else is there is not from this page.
  if (Array.isArray(before?.unheard) && [before.read, before.from, before.heard].every(Number.isFinite)) {
    const { token, read, from, heard, unheard } = before;
    shownTo = read;
    session = { token, read: from, starts: [], heard, unheard };
    for (const line of unheard) line.shown = line.ours ? null : showPending(line.text);
  }
  keep(true);
}

function keep(isOpening = false) {
  if (phase === "over" || (isElsewhere() && !isOpening)) return;
  const { token, read, starts, heard, unheard } = session;
  // A word that makes an operator is kept nowhere: in its place a blank line is said again.
  const lines = unheard.map(({ text, ours, sent }) => ({ text: isSecret(text) ? "" : text, ours, sent }));
  kept.set("session", { owner: me, token, read: Math.max(read, shownTo), from: starts[0] ?? read, heard, unheard: lines });
  if (token) kept.set("name", name);
}

const isCommand = (text, ...words) => new RegExp(`^[!/](?:${words.join("|")})(?:\\s|$)`, "i").test(text);
const isSecret = (text) => isCommand(text, "operator", "password");

// Whether another window has what is kept.
function isElsewhere() {
  const owner = kept.get("session")?.owner;
  return owner !== undefined && owner !== me;
}

// ---- The connection ----

// waiting: to connect again. greeting: for the server's first line. naming, resuming: for its answer. in: we are in the
// room. door: for a name or a password. over: somebody has to press a button.
let phase = "waiting";
// Why it is over.
let stopped = null;
let socket = null;
let retry = { timer: 0, delay: 500, at: 0 };
let password = null;
let isWelcome = false;
// Why the server has not let us in.
let refusal = null;
// Whether the room has read that we left.
let hasLeft = false;
// When the server has called us by our name, if it has not told us yet how to come back.
let namedAt = -Infinity;
// Whether an answer to `!session` is due; whether the next answers to `!who` are for this page.
let isAsked = false;
let quiet = [];
let lastHeardFrom = 0;
const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

function connect() {
  clearTimeout(retry.timer);
  if (phase === "over") return;
  drop();
  if (isElsewhere()) return displaced();
  if (name === null) return ask();
  go("greeting");
  isWelcome = false;
  hasLeft = false;
  const ours = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/ws`);
  socket = ours;
  ours.binaryType = "arraybuffer";
  let rest = new Uint8Array(0);
  ours.onmessage = ({ data }) => {
    lastHeardFrom = Date.now();
    rest = takeLines(rest, new Uint8Array(data), () => socket === ours);
    if (socket === ours && phase === "greeting" && isWelcome) enter();
  };
  ours.onclose = () => socket === ours && lost();
  lastHeardFrom = Date.now();
}

// Gives up the connection, without waiting for it to be closed.
function drop() {
  const before = socket;
  socket = null;
  before?.close();
  isAsked = false;
  quiet = [];
  past = null;
}

function lost() {
  const wasIn = phase === "in";
  drop();
  if (hasLeft) return left();
  if (phase === "over" || phase === "door") return;
  // It starts anew after a connection that was of use.
  retry.delay = wasIn ? 500 : Math.min(30000, retry.delay * 2);
  retry.at = Date.now() + retry.delay * (0.5 + Math.random() / 2);
  retry.timer = setTimeout(connect, retry.at - Date.now());
  go("waiting");
}

// The session is over, and what was not said in it is not said any more.
function forget() {
  session = fresh();
  kept.set("session", null);
  $("pending").replaceChildren();
}

function left() {
  forget();
  stop("you have left", "Join again");
}

function displaced() {
  $("pending").replaceChildren();
  stop("you go on in another window", "Go on here");
}

// The session is over, and what was not heard in it is said in the next one.
function begin() {
  const unheard = session.unheard.filter(({ ours }) => !ours);
  for (const line of unheard) line.sent = false;
  session = { ...fresh(), unheard };
  shownTo = 0;
}

function takeLines(rest, news, isWanted) {
  let bytes = news;
  if (rest.length > 0) {
    bytes = new Uint8Array(rest.length + news.length);
    bytes.set(rest);
    bytes.set(news, rest.length);
  }
  let from = 0;
  // What had no end before has none in its first bytes.
  let end = bytes.indexOf(10, rest.length);
  while (end >= 0 && isWanted()) {
    take(decoder.decode(bytes.subarray(from, end)), end + 1 - from);
    from = end + 1;
    end = bytes.indexOf(10, from);
  }
  return bytes.slice(from);
}

function send(text) {
  const bytes = encoder.encode(text + "\n");
  // A frame has at most 64 KiB; its borders mean nothing.
  for (let at = 0; at < bytes.length; at += 32768) socket.send(bytes.subarray(at, at + 32768));
}

// Says a line that was typed, as soon as it can be said.
function say(text) {
  const line = { text, ours: false, sent: false, shown: showPending(text) };
  session.unheard.push(line);
  if (phase === "in") sendLine(line);
}

// Asks the server something that nobody has typed.
function inquire(text) {
  const line = { text, ours: true, sent: false, shown: null };
  session.unheard.push(line);
  // It counts as a line that another window may have to know of.
  keep();
  sendLine(line);
}

function sendLine(line) {
  if (line.text === "!session") isAsked = true;
  if (isCommand(line.text, "who")) quiet.push(line.ours);
  line.sent = true;
  send(line.text);
}

// The server has heard so many lines.
function acknowledge(heard) {
  for (const { shown } of session.unheard.splice(0, heard - session.heard)) shown?.remove();
  session.heard = heard;
  keepSoon();
}

function enter() {
  if (session.token) {
    go("resuming");
    send(`!resume ${session.token}@${session.read}`);
  } else {
    go("naming");
    send(name);
  }
}

function enterWithPassword() {
  if (password === null) return ask("", true);
  send("!password " + password);
  enter();
}

// Tells whether the connection is still there, when it was silent or the page was asleep.
function probe() {
  if (phase === "waiting") return connect();
  if (phase !== "in") return;
  if (!isAsked) inquire("!session");
  const asked = Date.now();
  setTimeout(() => phase === "in" && lastHeardFrom < asked && isAsked && connect(), 8000);
}

setInterval(() => {
  status();
  const isSilent = Date.now() - lastHeardFrom > 60000;
  if (phase === "in" && !isAsked && session.unheard.length > 0) inquire("!session");
  else if (phase === "in" && isSilent) probe();
  else if (["greeting", "naming", "resuming"].includes(phase) && isSilent) lost();
}, 1000);

// ---- What the server says ----

const people = new Set();
// Who has spoken, the latest one last.
const speakers = new Set();

function take(line, length) {
  if (line.startsWith("--- ")) return takePrivate(line.slice(4));
  if (session.token) {
    session.starts.push(session.read);
    if (session.starts.length > 2 * SHOWN_AGAIN) session.starts.splice(0, SHOWN_AGAIN);
    session.read += length;
    keepSoon();
  }
  takePublic(line);
}

function takePrivate(line) {
  let found;
  if (!line.startsWith("  ")) listing = null;
  if (line.startsWith("welcome ")) {
    // Whether a password is wanted is said in the next line, so before all that has arrived is taken nothing is sent.
    isWelcome = true;
  } else if (line.startsWith("this room has a password")) {
    enterWithPassword();
  } else if (line === "error: say !password WORD first") {
    // The name was sent too early, and is sent once more already.
  } else if (line === "error: wrong password" && phase !== "in") {
    password = null;
    ask("That is not the password.", true);
  } else if ((found = /^you are (\S+); \d+ online/.exec(line))) {
    name = found[1];
    kept.set("name", name);
    namedAt = Date.now();
    begin();
    send("!session");
  } else if ((found = /^session (\w+) at (\d+), (\d+) heard$/.exec(line))) {
    isAsked = false;
    namedAt = -Infinity;
    const isNew = session.token === null;
    session.token = found[1];
    session.read = +found[2];
    acknowledge(+found[3]);
    if (isNew) comeIn();
  } else if ((found = /^resumed as (\S+), (\d+) heard$/.exec(line))) {
    name = found[1];
    kept.set("name", name);
    acknowledge(+found[2]);
    comeIn();
  } else if ((found = /^missed (\d+) bytes/.exec(line))) {
    session.read += +found[1];
    if (session.read > shownTo) show("private", [line]);
  } else if (line === "error: no such session; your first line is your name") {
    if (session.unheard.some(({ text, sent }) => sent && isCommand(text, "exit", "quit"))) return left();
    begin();
    go("naming");
    send(name);
  } else if (line === "error: resumed elsewhere") {
    displaced();
  } else if (/^error: (?:you were kicked|you are banned|the password is taken|this room speaks TLS)/.test(line)) {
    forget();
    show("error", [line.slice(7)]);
    stop(line.slice(7), "Try again");
  } else if (/^error: (?:the server is full|too many connections)/.test(line)) {
    // It says so each time.
    if (refusal !== line) show("error", [line.slice(7)]);
    refusal = line;
  } else if (phase === "naming" && line.startsWith("error: ")) {
    // It is our own, of a connection that broke before we could be told how to come back: it will be free soon.
    if (/^error: the name /.test(line) && Date.now() - namedAt < 60000) {
      retry.delay = 1000;
      return lost();
    }
    ask(line.slice(7));
  } else if ((found = /^the last (?:(\d+) lines|line) before you came:$/.exec(line))) {
    past = { count: +(found[1] ?? 1), heading: line, lines: [] };
  } else if (quiet.length > 0 && /^\d+ online:$/.test(line)) {
    listing = quiet.shift();
    people.clear();
    if (!listing) show("private", [line]);
  } else if (listing !== null) {
    for (const one of line.trim().split(/, ?/)) if (one) people.add(one);
    drawPeopleSoon();
    if (!listing) show("private", [line]);
  } else {
    takeAside(line);
  }
}

// While an answer to `!who` comes: whether it is for this page alone.
let listing = null;
// While lines come that were said before: how many there are, and those that have come.
let past = null;
// The latest public lines, whole.
const latest = [];

// What was said before we came; the page may have shown the first of these lines already.
function takePast(line) {
  past.lines.push(line);
  if (past.lines.length < past.count) return;
  const { heading, lines } = past;
  past = null;
  let known = Math.min(lines.length, latest.length);
  while (known > 0 && !lines.slice(0, known).every((one, at) => one === latest[latest.length - known + at])) known -= 1;
  if (known < lines.length) show("private", [known > 0 ? "while you were away:" : heading]);
  lines.slice(known).forEach(takePublic);
}

function takeAside(line) {
  let found;
  if ((found = /^\[(\S+) to you\] (.*)$/s.exec(line))) {
    show("whisper", [named(found[1]), " to you: ", ...marked(found[2])]);
    alertUser();
  } else if ((found = /^\[you to (\S+)\] (.*)$/s.exec(line))) {
    show("whisper", ["you to ", named(found[1]), ": " + found[2]]);
  } else if (line.startsWith("error: ")) {
    show("error", [line.slice(7)]);
  } else {
    show("private", [line]);
  }
}

// The room is ours to talk in: what has waited is said, and what is shown is brought up to date.
function comeIn() {
  retry.delay = 500;
  refusal = null;
  shownTo = 0;
  go("in");
  // What the page itself has asked it asks anew.
  session.unheard = session.unheard.filter(({ ours }) => !ours);
  session.unheard.forEach(sendLine);
  inquire("!session");
  inquire("!who");
  keep();
}

function takePublic(line) {
  if (past !== null) return takePast(line);
  latest.push(line);
  if (latest.length > 2000) latest.splice(0, 1000);
  let found;
  if ((found = /^\*\*\* notice: (.*)$/s.exec(line))) {
    show("notice", ["notice: " + found[1]]);
  } else if (line.startsWith("*** ")) {
    const news = line.slice(4);
    if ((found = /^(\S+) joined$/.exec(news))) people.add(found[1]);
    else if ((found = /^(\S+) (?:left|was kicked|was banned)\b/.exec(news))) people.delete(found[1]);
    else if ((found = /^(\S+) is now (\S+)$/.exec(news))) {
      people.delete(found[1]);
      people.add(found[2]);
      if (found[1] === name) {
        name = found[2];
        kept.set("name", name);
      }
    }
    // Nobody else has our name; and who is away stays in the room.
    if (found?.[1] === name && phase === "in" && /^\S+ left(?:: |$)/.test(news)) hasLeft = true;
    drawPeopleSoon();
    const [who, ...rest] = news.split(" ");
    show("news", found ? [named(who), " " + rest.join(" ")] : [news]);
  } else if ((found = /^\* (\S+) (.*)$/s.exec(line))) {
    spoken(found[1], ["* ", named(found[1]), " ", ...marked(found[2])], found[2]);
  } else if ((found = /^([^\s:]+): (.*)$/s.exec(line))) {
    spoken(found[1], [named(found[1]), ": ", ...marked(found[2])], found[2]);
  } else {
    show("said", [line]);
  }
}

function spoken(who, parts, text) {
  speakers.delete(who);
  speakers.add(who);
  if (who === name) {
    // What was shown dim is heard now. What it says may have been changed; then the server's count is what tells.
    const line = session.unheard.find(({ text: typed, shown }) => shown && (typed === text || typed === "/me " + text || typed === "!me " + text));
    if (line) {
      line.shown.remove();
      line.shown = null;
    }
    show("said own", parts);
  } else {
    const isForUs = parts.some((part) => part.tagName === "MARK");
    show("said", parts);
    const isNew = phase === "in" || (phase === "resuming" && session.read > shownTo);
    if (isForUs && isNew) alertUser();
  }
}

// ---- What is shown ----

const $ = (id) => document.getElementById(id);
const MAX_LINES = 10000;
const BLOCK = 200;
let lines = 0;
let undrawn = [];
let drawing = 0;
let unread = 0;

function make(tag, className, ...parts) {
  const node = document.createElement(tag);
  if (className) node.className = className;
  node.append(...parts);
  return node;
}

// The colour that a name always has, whatever its tag: the same as in a terminal (FNV-1a).
const colours = new Map();
function colourOf(base) {
  let colour = colours.get(base);
  if (colour === undefined) {
    let hash = 0xcbf29ce484222325n;
    for (const byte of encoder.encode(base)) hash = ((hash ^ BigInt(byte)) * 0x100000001b3n) & 0xffffffffffffffffn;
    colour = Number((hash >> 32n) % 10n);
    if (colours.size > 5000) colours.clear();
    colours.set(base, colour);
  }
  return colour;
}

const baseOf = (one) => (one.lastIndexOf("#") > 0 ? one.slice(0, one.lastIndexOf("#")) : one);

function named(one) {
  const base = baseOf(one);
  return make("bdi", `name c${colourOf(base)}`, base, ...(base === one ? [] : [make("span", "tag", one.slice(base.length))]));
}

// The text, with our name in it marked.
function marked(text) {
  const base = baseOf(name);
  if (!text.toLowerCase().includes(base.toLowerCase())) return [text];
  // Of what may be in a name, only dots mean something in a pattern.
  const pattern = new RegExp(`(?<![\\p{L}\\p{N}_])${base.replaceAll(".", "\\.")}(?:#\\w+)?(?![-.#]*[\\p{L}\\p{N}_])`, "giu");
  const parts = [];
  let at = 0;
  for (const { index, 0: found } of text.matchAll(pattern)) {
    parts.push(text.slice(at, index), make("mark", "", found));
    at = index + found.length;
  }
  return [...parts, text.slice(at)];
}

const clock = new Intl.DateTimeFormat([], { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });

function lineOf(className, parts, isNow) {
  const time = make("time", "", isNow ? clock.format(new Date()) : "");
  const text = make("span", "", ...parts);
  text.dir = "auto";
  return make("p", "line " + className, time, text);
}

function show(className, parts) {
  // What was said before we came has no time.
  undrawn.push(lineOf(className, parts, phase === "in"));
  if (undrawn.length > 2 * MAX_LINES) undrawn.splice(0, MAX_LINES);
  // Not with the next frame: there is none as long as the page is hidden.
  drawing ||= setTimeout(draw, 30);
}

function showPending(text) {
  const node = lineOf("own", [text], true);
  $("pending").append(node);
  return node;
}

const isScrolledDown = () => $("scroller").scrollHeight - $("scroller").scrollTop - $("scroller").clientHeight < 40;
const scrollDown = () => { $("scroller").scrollTop = $("scroller").scrollHeight; };

function draw() {
  drawing = 0;
  const news = undrawn.splice(0);
  const isAtEnd = isScrolledDown();
  const log = $("log");
  // Nobody can listen to that much.
  log.setAttribute("aria-live", news.length > 20 ? "off" : "polite");
  if (!document.hasFocus() && !log.querySelector("hr.unread") && log.lastChild) {
    news.unshift(make("hr", "unread"));
  }
  for (const node of news) {
    let block = log.lastChild;
    if (!block || block.childElementCount >= BLOCK) {
      block = make("div", "block");
      log.append(block);
    }
    block.append(node);
  }
  lines += news.length;
  while (lines > MAX_LINES) {
    lines -= log.firstChild.childElementCount;
    log.firstChild.remove();
  }
  if (isAtEnd) scrollDown();
  $("newer").hidden = isAtEnd;
}

function alertUser() {
  if (document.hasFocus() && !document.hidden) return;
  unread += 1;
  title();
  beep();
}

const title = () => { document.title = (unread > 0 ? `(${unread}) ` : "") + "gotcp"; };

let audio = null;
function beep() {
  if (!audio || $("sound").getAttribute("aria-pressed") === "false") return;
  const tone = audio.createOscillator();
  const volume = audio.createGain();
  volume.gain.setValueAtTime(0.15, audio.currentTime);
  volume.gain.exponentialRampToValueAtTime(0.001, audio.currentTime + 0.3);
  tone.frequency.value = 880;
  tone.connect(volume).connect(audio.destination);
  tone.start();
  tone.stop(audio.currentTime + 0.3);
}

// How things stand.
function status() {
  const waiting = session.unheard.filter(({ ours }) => !ours).length;
  const who = name ?? "";
  const also = waiting > 0 ? `, ${waiting} waiting` : "";
  const text = {
    waiting: `${who}, offline${also}; next try in ${Math.max(0, Math.ceil((retry.at - Date.now()) / 1000))} s`,
    in: who,
    over: stopped,
    door: "not here yet",
  }[phase] ?? `${who}, connecting${also}`;
  if ($("status").textContent !== text) $("status").textContent = text;
  $("status").className = phase === "waiting" || phase === "over" ? "bad" : "";
}

function go(next) {
  phase = next;
  status();
}

let drawingPeople = 0;
function drawPeopleSoon() {
  drawingPeople ||= setTimeout(drawPeople, 300);
}

function drawPeople() {
  drawingPeople = 0;
  $("who").hidden = false;
  $("who").textContent = `${people.size} here`;
  if ($("people").hidden) return;
  const list = [...people].sort((a, b) => a.localeCompare(b)).slice(0, 1000);
  $("people").querySelector("ul").replaceChildren(...list.map((one) => {
    const button = make("button", "", named(one));
    button.type = "button";
    button.title = "Whisper";
    button.onclick = () => whisperTo(one);
    return make("li", "", button);
  }));
}

// ---- The door, and the end ----

function ask(wrong = "", forPassword = false) {
  drop();
  go("door");
  $("ask").textContent = forPassword ? "Who knows the password may come in." : "What may the others call you?";
  $("wrong").textContent = wrong;
  $("name-row").hidden = forPassword;
  $("password-row").hidden = !forPassword;
  $("name").value = name ?? "";
  $("password").value = "";
  if (!$("door").open) $("door").showModal();
  (forPassword ? $("password") : $("name")).focus();
}

// There is no other way in.
$("door").addEventListener("close", () => phase === "door" && $("door").showModal());
$("door").querySelector("form").addEventListener("submit", (event) => {
  event.preventDefault();
  if ($("name-row").hidden) {
    password = $("password").value;
  } else {
    const wanted = $("name").value.trim().replace(/\s+/g, "_");
    // Whatever else is wrong with it, the server says; but nothing that it takes for a command is sent as a name.
    if (!/^[\p{L}\p{N}_]/u.test(wanted)) {
      $("wrong").textContent = "a name begins with a letter, a digit or _";
      return;
    }
    name = wanted;
    namedAt = -Infinity;
  }
  connect();
  $("door").close();
  $("text").focus();
});

// It is over, until somebody presses a button.
function stop(why, offer) {
  drop();
  if (phase === "over") return;
  stopped = why;
  go("over");
  clearTimeout(retry.timer);
  $("door").close();
  const button = make("button", "", offer);
  button.type = "button";
  // A page that is loaded anew has whatever another window has done meanwhile.
  button.onclick = () => {
    draft.keep($("text").value);
    location.reload();
  };
  $("talk").before(button);
  // Not under the hands of somebody who is typing.
  if (document.activeElement !== $("text")) button.focus();
}

// ---- What is typed ----

const COMMANDS = [/*commands*/];

const typed = [];
let typedAt = 0;
// What stood in the box before something older was fetched.
let unfinished = "";

$("talk").addEventListener("submit", (event) => {
  event.preventDefault();
  const text = $("text").value;
  if (phase !== "over" && isElsewhere()) {
    drop();
    displaced();
  }
  if (phase === "over" || text.trim() === "") return;
  typed.push(text);
  typedAt = typed.length;
  for (const line of text.split("\n")) if (line.trim() !== "") say(line);
  $("text").value = "";
  status();
  keep();
  scrollDown();
  $("text").focus();
});

$("text").addEventListener("keydown", (event) => {
  // While a word is put together, its keys are not ours.
  if (event.isComposing || event.keyCode === 229) return;
  const { key } = event;
  if (key === "Enter" && !event.shiftKey) {
    event.preventDefault();
    $("talk").requestSubmit();
  } else if (key === "Tab" && !event.shiftKey && complete()) {
    event.preventDefault();
  } else if ((key === "ArrowUp" || key === "ArrowDown") && !$("text").value.includes("\n")) {
    const at = typedAt + (key === "ArrowUp" ? -1 : 1);
    if (at < 0 || at > typed.length) return;
    event.preventDefault();
    if (typedAt === typed.length) unfinished = $("text").value;
    typedAt = at;
    $("text").value = typed[at] ?? unfinished;
  }
  if (key !== "Tab") offered = null;
});

for (const event of ["input", "pointerdown"]) $("text").addEventListener(event, () => { offered = null; });

// What the last Tab has put in, so that another one puts in what comes next.
let offered = null;

// Completes the word before the caret: a command, or a name, those first who spoke last. Returns whether there is one.
function complete() {
  const box = $("text");
  if (offered === null) {
    const before = box.value.slice(0, box.selectionStart);
    const word = /[^\s@([{"']*$/.exec(before)[0];
    if (word === "") return false;
    const start = before.length - word.length;
    const begins = (one) => one.toLowerCase().startsWith(word.toLowerCase());
    let choices;
    if (start === 0 && /^[!/]/.test(word)) {
      choices = COMMANDS.map((command) => `${word[0]}${command} `).filter(begins);
    } else {
      const recent = [...speakers].reverse().filter((one) => people.has(one));
      const all = [...new Set([...recent, ...people])].filter((one) => one !== name && begins(one));
      choices = all.map((one) => one + (start === 0 ? ": " : " "));
    }
    if (choices.length === 0) return false;
    offered = { start, end: box.selectionStart, choices, next: 0 };
  }
  const choice = offered.choices[offered.next++ % offered.choices.length];
  box.setRangeText(choice, offered.start, offered.end, "end");
  offered.end = offered.start + choice.length;
  return true;
}

// Makes a whisper to somebody of what stands in the box.
function whisperTo(one) {
  const box = $("text");
  box.value = `/msg ${one} ${box.value.replace(/^\/msg \S+ /, "")}`;
  offered = null;
  box.focus();
}

// ---- The page ----

$("newer").onclick = () => { scrollDown(); $("newer").hidden = true; };
$("scroller").addEventListener("scroll", () => { if (isScrolledDown()) $("newer").hidden = true; }, { passive: true });
$("who").onclick = () => {
  $("people").hidden = !$("people").hidden;
  $("who").setAttribute("aria-expanded", String(!$("people").hidden));
  drawPeople();
};
$("sound").onclick = () => {
  const isOn = $("sound").getAttribute("aria-pressed") === "false";
  $("sound").setAttribute("aria-pressed", String(isOn));
  kept.set("sound", isOn);
};
if (kept.get("sound") === false) $("sound").setAttribute("aria-pressed", "false");
// Browsers let a page make a sound only once somebody has used it.
addEventListener("pointerdown", () => { audio ??= new AudioContext(); });
addEventListener("keydown", () => { audio ??= new AudioContext(); });
addEventListener("focus", () => {
  unread = 0;
  title();
  setTimeout(() => document.hasFocus() && document.querySelector("hr.unread")?.classList.remove("unread"), 3000);
});
addEventListener("online", probe);
document.addEventListener("visibilitychange", () => (document.hidden ? keep() : probe()));
addEventListener("pagehide", () => keep());
addEventListener("storage", () => {
  if (phase === "over" || !isElsewhere()) return;
  drop();
  displaced();
});

let keeping = 0;
function keepSoon() {
  keeping ||= setTimeout(() => { keeping = 0; keep(); }, 1000);
}

$("text").value = draft.take();
recall();
connect();
