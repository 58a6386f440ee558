# A chatting network of containers with one command: one server, and as many clients as there are people.
#
# dockerbuild.sh is the same for a Unix shell. What the two ask of the engine and what they say to people stands word
# for word in both, and a test holds them to it: whoever changes one changes the other. The options are spelled as they
# are there, so this script reads its words itself. Windows PowerShell 5.1 will do.

# An engine that fails is answered for here, in one line.
$ErrorActionPreference = 'Continue'
$PSNativeCommandUseErrorActionPreference = $false

$here = $PSScriptRoot
$me = Resolve-Path -Relative -LiteralPath $PSCommandPath

function usage {
    [Console]::Out.WriteLine(@"
A chatting network of containers.

    $me server          build the image and run the server, on the network goTCPnet
    $me client [NAME]   join it, as often as you like; asks for NAME if it is not given
    $me stop            end the server and remove the network, unless others still use it

For server:
    --address IP        the server's address on goTCPnet [default: 192.168.111.111]
    --subnet CIDR       what goTCPnet spans [default: the 256 addresses around --address]
    --port PORT         the port of this machine that leads to the server [default: 7777]

For all three:
    --engine NAME       docker or podman [default: docker, or podman where there is no docker]
    --dry-run           look at what is there, but only show the commands that would change it
    -h, --help          show this
"@)
}

# ---------------------------------------------------------------------------------------------------------------------
# What is asked of the engine. `ask` looks; `tell` changes something, quietly; `run` does so before people's eyes.

function engine_answers {
    ask "$engine" ps --quiet
}

function server_exists {
    ask "$engine" container inspect --format '{{.State.Running}}' gotcpserver
}

function server_address {
    ask "$engine" container inspect --format '{{.NetworkSettings.Networks.goTCPnet.IPAddress}}' gotcpserver
}

function server_answers {
    ask "$engine" exec gotcpserver gotcp client --probe
}

function server_log {
    ask "$engine" logs --tail 1 gotcpserver
}

function network_exists {
    ask "$engine" network inspect goTCPnet
}

function network_users {
    ask "$engine" ps --all --filter network=goTCPnet --format '{{.Names}}'
}

function image_exists {
    ask "$engine" image inspect gotcp
}

function build_image {
    run "$engine" build --force-rm --tag gotcp "$here"
}

# Podman's own kind of image has no place for the HEALTHCHECK; Docker's kind has, and Podman can make that, too.
function build_image_with_podman {
    run "$engine" build --format docker --force-rm --tag gotcp "$here"
}

function make_network {
    tell "$engine" network create --subnet "$subnet" goTCPnet
}

function remove_network {
    tell "$engine" network rm goTCPnet
}

function make_server {
    tell "$engine" create --name gotcpserver --network goTCPnet --ip "$address" --publish "${port}:7777" `
        --env "GOTCP_LISTEN=${address}:7777" --env "GOTCP_SERVER=${address}:7777" --restart unless-stopped `
        --read-only --cap-drop ALL --security-opt no-new-privileges gotcp server
}

function start_server {
    tell "$engine" start gotcpserver
}

function stop_server {
    tell "$engine" stop gotcpserver
}

function remove_server {
    tell "$engine" rm --force gotcpserver
}

function join_as_client {
    run "$engine" run --rm --interactive "--tty=${tty}" --name "$container" --network goTCPnet `
        --env "GOTCP_SERVER=${address}:7777" --env "TZ=local${zone}" --no-healthcheck `
        --read-only --cap-drop ALL --security-opt no-new-privileges gotcp client --no-tag "--username=${name}#${tag}"
}

# ---------------------------------------------------------------------------------------------------------------------
# The three things to do.

function server {
    $leftover = $false
    if (server_exists) {
        if ($said -eq 'true') { die "a server runs already; $me stop ends it" }
        $leftover = $true
    }
    $found = ''
    if (network_exists) {
        if ($said -match '"subnet": *"([^"]*)"') { $found = $Matches[1] }
        if ($found -ne $subnet) {
            die "goTCPnet is there already, with the subnet $found; $me stop removes it, --address and --subnet fit it"
        }
    }
    build
    if ($leftover) {
        if (-not (remove_server)) { die "cannot replace the server that ended: $(reason)" }
    }
    if (-not $found) {
        if (-not (make_network)) { die "cannot make goTCPnet with the subnet ${subnet}: $(reason)" }
        $script:made_network = $true
    }
    if (-not (make_server)) { die "cannot make the server: $(reason)" }
    $script:made_server = $true
    if (-not (start_server)) {
        # Where the port is the trouble, every engine names it as HOST:PORT.
        if ($complaint -like "*:${port}*") {
            die "port $port of this machine is taken, or not yours to take; choose another with --port"
        }
        die "cannot start the server: $(reason)"
    }
    if (-not $dry_run) {
        wait_for_server
        say "the server runs at port $port of this machine; to watch it: $engine logs --follow gotcpserver"
        say "to join it: $me client; to end it: $me stop"
    }
    $script:made_network = $false
    $script:made_server = $false
}

function client {
    $script:address = ''
    if ((server_address) -and (is_address $said)) { $script:address = $said }
    if (-not $address) { die "no server runs; $me server starts one" }
    if (-not $name) {
        $script:name = Read-Host 'Your name'
        if (-not $name) { die "nobody joins without a name" }
    }
    if (-not (image_exists)) { build }
    # The same six digits in the chat as in the container's name: so one can tell whose container is whose.
    $script:tag = '{0:x6}' -f (Get-Random -Minimum 0 -Maximum 0x1000000)
    # A name may hold more than a container's name may. What a name may hold is for the client to say.
    $plain = $name -creplace '[^A-Za-z0-9_.-]', ''
    $script:container = "gotcpclient" + $plain.Substring(0, [Math]::Min($plain.Length, 32)) + $tag
    # The image has no table of time zones, but needs none to tell the time a known distance from UTC. (POSIX counts
    # that distance the other way round.)
    $distance = Get-Date -Format zzz
    $script:zone = $(if ($distance[0] -eq '+') { '-' } else { '+' }) + $distance.Substring(1)
    $script:tty = 'true'
    if ([Console]::IsInputRedirected -or [Console]::IsOutputRedirected) { $script:tty = 'false' }
    join_as_client
}

function stop {
    $nothing = $true
    if (server_exists) {
        $nothing = $false
        if (-not (stop_server)) { die "cannot stop the server: $(reason)" }
        if (-not (remove_server)) { die "cannot remove the server: $(reason)" }
    }
    if (network_exists) {
        $nothing = $false
        if (-not (network_users)) { die "cannot tell who uses goTCPnet: $(reason)" }
        $others = ($said -split "`n" | Where-Object { $_ -and $_ -ne 'gotcpserver' }) -join ' '
        if ($others) {
            say "goTCPnet stays, because it is still used by $others"
        } else {
            if (-not (remove_network)) { die "cannot remove goTCPnet: $(reason)" }
        }
    }
    if ($nothing) { say "nothing to stop" }
}

# ---------------------------------------------------------------------------------------------------------------------
# What they are made of.

function build {
    if ($engine -eq 'podman') {
        build_image_with_podman
    } else {
        build_image
    }
    if ($code -ne 0) { die "the image could not be built; the lines above say why" }
}

# A server that cannot run is found out here, and not by the first client.
function wait_for_server {
    $tries = 10
    while (-not (server_answers)) {
        $tries -= 1
        if ($tries -eq 0) {
            [void](server_log)
            die "the server does not answer: $(reason)"
        }
        Start-Sleep -Seconds 1
    }
}

# However this ends: what was begun and came to nothing is taken back.
function undo {
    if ($made_server) { [void](remove_server) }
    if ($made_network) { [void](remove_network) }
}

function is_here($program) {
    [bool](Get-Command -CommandType Application -Name $program -ErrorAction SilentlyContinue)
}

function is_port($text) {
    $text -match '^[1-9][0-9]{0,4}$' -and [int]$text -le 65535
}

function is_address($text) {
    $text -match '^([0-9]{1,3}\.){3}[0-9]{1,3}$'
}

# Leaves the answer in $said, and what else the engine had to say, which may be idle warnings, in $complaint.
function ask {
    $program, $words = $args
    $lines = @(& $program @words 2>&1)
    $script:said = @($lines | Where-Object { $_ -isnot [Management.Automation.ErrorRecord] }) -join "`n"
    $script:complaint = @($lines | Where-Object { $_ -is [Management.Automation.ErrorRecord] }) -join "`n"
    $LASTEXITCODE -eq 0
}

function tell {
    $program, $words = $args
    if ($dry_run) {
        show $program @words
        $true
    } else {
        ask $program @words
    }
}

# Its output goes straight to the terminal, so what came of it is left in $code instead of being the answer.
function run {
    $program, $words = $args
    if ($dry_run) {
        show $program @words
        $script:code = 0
    } else {
        & $program @words
        $script:code = $LASTEXITCODE
    }
}

# A command as one could type it.
function show {
    $line = foreach ($word in $args) {
        if ($word -cmatch '^[A-Za-z0-9_./:=,@%+-]+$') { $word } else { "'" + ($word -replace "'", "''") + "'" }
    }
    [Console]::Out.WriteLine($line -join ' ')
}

# The line that says what went wrong, among whatever was said.
function reason {
    $line = @($complaint -split "`n" -match '^error')[0]
    if (-not $line) { $line = ($(if ($said) { $said } else { $complaint }) -split "`n")[-1] }
    $line -creplace '^[Ee]rror[^:]*: *', ''
}

function say($text) {
    [Console]::Out.WriteLine("dockerbuild: $text")
}

function die($text) {
    [Console]::Error.WriteLine("dockerbuild: $text")
    exit 1
}

function wrong($text) {
    [Console]::Error.WriteLine("dockerbuild: $text (see $me -h)")
    exit 2
}

# ---------------------------------------------------------------------------------------------------------------------

$command = ''
$name = ''
$engine = ''
$dry_run = $false
$said = ''
$complaint = ''
$code = 0
$made_network = $false
$made_server = $false
$for_server = ''
$address = '192.168.111.111'
$subnet = ''
$port = '7777'

$words = @($args | ForEach-Object { "$_" })
for ($at = 0; $at -lt $words.Count; $at++) {
    $word = $words[$at]
    if ('-h', '--help' -ccontains $word) {
        usage
        exit 0
    } elseif ($word -ceq '--dry-run') {
        $dry_run = $true
    } elseif ('--address', '--subnet', '--port', '--engine' -ccontains $word) {
        if ($at + 1 -ge $words.Count) { wrong "$word needs a value" }
        $at++
        $value = $words[$at]
        if ($word -ceq '--address') { $address = $value; $for_server = $word }
        if ($word -ceq '--subnet') { $subnet = $value; $for_server = $word }
        if ($word -ceq '--port') { $port = $value; $for_server = $word }
        if ($word -ceq '--engine') {
            if ('docker', 'podman' -cnotcontains $value) { wrong "$value is neither docker nor podman" }
            $engine = $value
        }
    } elseif ($word.StartsWith('-')) {
        wrong "there is no option $word"
    } elseif (-not $command) {
        $command = $word
    } elseif ($command -ceq 'client' -and -not $name) {
        $name = $word
    } else {
        wrong "$command has no use for $word"
    }
}

if ('client', 'stop' -ccontains $command) {
    if ($for_server) { wrong "$for_server is for server alone" }
} elseif (-not $command) {
    wrong "say what to do: server, client or stop"
} elseif ($command -cne 'server') {
    wrong "there is no $command, only server, client and stop"
}
if (-not (is_address $address)) { wrong "$address is not an address like 192.168.111.111" }
if (-not $subnet) { $subnet = ($address -replace '[0-9]+$', '') + '0/24' }
if (-not (is_address ($subnet -replace '/.*', ''))) { wrong "$subnet is not a subnet like 192.168.111.0/24" }
if (-not (is_port $port)) { wrong "$port is not a port" }

if (-not $engine) {
    $engine = 'docker'
    if (-not (is_here docker) -and (is_here podman)) { $engine = 'podman' }
}
if (-not (is_here $engine)) { die "there is no $engine on this machine; Docker or Podman is needed" }

try {
    if (-not (engine_answers)) { die "$engine does not answer: $(reason)" }
    & $command
    exit $code
} finally {
    undo
}
