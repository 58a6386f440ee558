# Runs gotcp in containers: one server, and as many clients as you like.
#
# dockerbuild.sh does the same for a Unix shell, step by step and word for word. A test compares the two. This script
# reads its arguments itself, so that they are spelled the same. It runs on Windows PowerShell 5.1, too.
$ErrorActionPreference = 'Continue'
$PSNativeCommandUseErrorActionPreference = $false

$here = $PSScriptRoot
$me = Resolve-Path -Relative -LiteralPath $PSCommandPath

function usage {
    [Console]::Out.WriteLine(@"
Runs gotcp in containers: one server, and as many clients as you like.

    $me server          build the image and start the server on the network goTCPnet
    $me client [NAME]   join the chat; asks for a name if none is given
    $me stop            stop the server, and remove the network unless it is still in use

The room is kept in the volume gotcpdata: a server that is started again goes on where the last one stopped.

Options for server:
    --address IP        the server's address on goTCPnet [default: 192.168.111.111]
    --subnet CIDR       the subnet of goTCPnet [default: the /24 around --address]
    --port PORT         the port of this machine that leads to the server [default: 7777]
    --files FOLDER      a folder that the server sees as /files, for certificates and passwords
    '--' OPTION...      options for gotcp server itself, such as '--' --max-clients 50

Options for client:
    '--' OPTION...      options for gotcp client itself, such as '--' --server tls://192.168.111.111

Options for all three:
    --engine NAME       docker or podman [default: docker, or podman if there is no docker]
    --dry-run           show the commands that would change something, but do not run them
    -h, --help          show this help
"@)
}

function server {
    [void](look container inspect --format '{{.State.Running}}' gotcpserver)
    $old = $said
    if ($old -eq 'true') { die "the server is already running; to stop it: $me stop" }
    [void](look network inspect goTCPnet)
    $found = [regex]::Match($said, '"[Ss]ubnet": *"([^"]*)"').Groups[1].Value
    if ($found -and $found -ne $subnet) {
        die "goTCPnet already exists, with the subnet $found; remove it with $me stop, or give an --address in it"
    }
    # The build stage is given a name: so it is there for the next build, and whatever has no name can be removed.
    run build @format --force-rm --target build --tag gotcp-build "$here"
    if ($code) { die "cannot build the image" }
    run build @format --force-rm --tag gotcp "$here"
    if ($code) { die "cannot build the image" }
    [void](tell image prune --force --filter label=org.opencontainers.image.title=gotcp)
    if ($old) { must "cannot remove the old server" rm --force gotcpserver }
    if (-not $found) {
        must "cannot create goTCPnet with the subnet $subnet" network create --subnet "$subnet" goTCPnet
        $script:new_network = $true
    }
    $script:new_server = $true
    if (-not (tell run --detach --name gotcpserver --network goTCPnet --ip "$address" --publish "${port}:7777" `
        --restart unless-stopped --read-only --cap-drop ALL --security-opt no-new-privileges `
        --log-driver json-file --log-opt max-size=10m --log-opt max-file=3 `
        --volume gotcpdata:/data @mount gotcp server --log /data/room.db @options)) {
        # Every engine names a port that it cannot have as HOST:PORT.
        if ($said -like "*:${port}*") { die "port $port of this machine is taken; choose another with --port" }
        die "cannot start the server: $(reason)"
    }
    $tries = 10
    while (-not $dry_run -and -not (look exec gotcpserver gotcp client --probe --server 127.0.0.1:7777)) {
        $tries--
        if ($tries -eq 0) {
            [void](tell logs --tail 1 gotcpserver)
            die "the server does not answer: $(reason)"
        }
        Start-Sleep -Seconds 1
    }
    $script:new_network = $script:new_server = $false
    if ($dry_run) { return }
    say "the server is running on port $port of this machine; to watch it: $engine logs --follow gotcpserver"
    say "to join: $me client; to stop the server: $me stop"
}

function client {
    [void](look container inspect --format '{{.NetworkSettings.Networks.goTCPnet.IPAddress}}' gotcpserver)
    $address = $said
    if ($address -notmatch "^$ip$") { die "no server is running; to start one: $me server" }
    if (-not $name) {
        $name = Read-Host 'Your name'
        if (-not $name) { die "joining takes a name" }
    }
    # The same six digits are in the person's name and in the container's, so it is clear whose container is whose.
    # A container's name allows few characters; which names are allowed in the chat is for gotcp to say.
    $tag = '{0:x6}' -f (Get-Random -Minimum 0 -Maximum 0x1000000)
    $plain = $name -creplace '[^A-Za-z0-9_.-]', ''
    $container = 'gotcpclient' + $plain.Substring(0, [Math]::Min($plain.Length, 32)) + $tag
    # The image has no table of time zones, but a fixed offset from UTC needs none. POSIX writes its sign the other way.
    $offset = Get-Date -Format zzz
    $zone = $(if ($offset[0] -eq '+') { '-' } else { '+' }) + $offset.Substring(1)
    $tty = if ([Console]::IsInputRedirected -or [Console]::IsOutputRedirected) { 'false' } else { 'true' }
    run run --rm --interactive "--tty=$tty" --name "$container" --network goTCPnet --no-healthcheck `
        --env "GOTCP_SERVER=${address}:7777" --env "TZ=local$zone" --read-only --cap-drop ALL `
        --security-opt no-new-privileges gotcp client --no-tag "--username=$name#$tag" @options
}

function stop {
    if (look container inspect gotcpserver) {
        must "cannot stop the server" stop gotcpserver
        must "cannot remove the server" rm --force gotcpserver
        say "what was said is kept in the volume gotcpdata; to remove it: $engine volume rm gotcpdata"
    } elseif (-not (look network inspect goTCPnet)) {
        say "there is nothing to stop"
    }
    if (look network inspect goTCPnet) {
        [void](look ps --all --filter network=goTCPnet --format '{{.Names}}')
        $others = ($said -split "`n" | Where-Object { $_ -and $_ -ne 'gotcpserver' }) -join ' '
        if ($others) {
            say "keeping goTCPnet, which is still used by $others"
        } else {
            must "cannot remove goTCPnet" network rm goTCPnet
        }
    }
}

# Four ways to call the engine. `look` only asks. `tell` changes something; both leave the output in $said. `must` is a
# `tell` that ends the script if it fails. `run` lets people see the output. In a dry run, all but `look` only show.
function look { $script:said = @(& $engine @args 2> $null) -join "`n"; $LASTEXITCODE -eq 0 }
function tell {
    if ($dry_run) { show @args; return $true }
    $script:said = @(& $engine @args 2>&1) -join "`n"
    $LASTEXITCODE -eq 0
}
function must { $what, $words = $args; if (-not (tell @words)) { die "${what}: $(reason)" } }
function run {
    if ($dry_run) { show @args; return }
    & $engine @args
    $script:code = $LASTEXITCODE
}

# Prints a command so that it can be typed.
function show {
    $line = foreach ($word in @($engine) + $args) {
        if ($word -cmatch '^[A-Za-z0-9_./:=,@%+-]+$') { $word } else { "'" + ($word -replace "'", "''") + "'" }
    }
    [Console]::Out.WriteLine($line -join ' ')
}

# Of what the engine said, the line that names the problem.
function reason {
    $lines = @($said -split "`n")
    (@($lines -match '^error') + $lines[-1])[0] -replace '^error[^:]*: *', ''
}

# Takes back what was done for a server that did not start.
function undo {
    if ($new_server) { [void](tell rm --force gotcpserver) }
    if ($new_network) { [void](tell network rm goTCPnet) }
}

function number($text) { $sum = 0L; foreach ($part in $text.Split('.')) { $sum = $sum * 256 + $part }; $sum }
function say($text) { [Console]::Out.WriteLine("dockerbuild: $text") }
function die($text) { [Console]::Error.WriteLine("dockerbuild: $text"); exit 1 }
function wrong($text) { [Console]::Error.WriteLine("dockerbuild: $text (see $me -h)"); exit 2 }

$command = $name = $engine = $said = $subnet = $for_server = $files = ''
$dry_run = $new_network = $new_server = $passed_on = $false
$format = @()
$mount = @()
$options = @()
$address = '192.168.111.111'
$port = '7777'
$code = 0
$byte = '(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])'
$ip = "$byte\.$byte\.$byte\.$byte"

$words = @($args | ForEach-Object { "$_" })
while ($words.Count) {
    $word, $words = $words
    if ('-h', '--help' -ccontains $word) { usage; exit }
    elseif ($word -ceq '--dry-run') { $dry_run = $true }
    elseif ($word -ceq '--') { $passed_on = $true; if ($words.Count) { $options = @($words) }; break }
    elseif ($word -cmatch '^--(address|subnet|port|files|engine)(=|$)') {
        $word, $value = $word -split '=', 2
        if ($null -eq $value) {
            if (-not $words.Count) { wrong "$word needs a value" }
            $value, $words = $words
        }
        if ($word -cne '--engine') { $for_server = $word }
        Set-Variable -Name $word.Substring(2) -Value $value
    }
    elseif ($word.StartsWith('-')) { wrong "there is no option $word; options for gotcp itself come after '--'" }
    elseif ($command -and "$command$name" -cne 'client') { wrong "unexpected argument $word" }
    elseif (-not $command) { $command = $word } else { $name = $word }
}

if ($command -cnotmatch '^(server|client|stop)$') { wrong "say what to do: server, client or stop" }
if ($command -cne 'server' -and $for_server) { wrong "$for_server is for server only" }
if ($command -ceq 'stop' -and $passed_on) { wrong "'--' is for server and client only" }
if ($engine -cnotmatch '^(docker|podman)?$') { wrong "$engine is neither docker nor podman" }
if ($port -notmatch '^[1-9][0-9]{0,4}$' -or [int]$port -gt 65535) { wrong "$port is not a port" }
if ($address -notmatch "^$ip$") { wrong "$address is not an address like 192.168.111.111" }
if (-not $subnet) { $subnet = ($address -replace '[0-9]+$', '') + '0/24' }
if ($subnet -notmatch "^$ip/([89]|[12][0-9]|30)$") { wrong "$subnet is not a subnet like 192.168.111.0/24" }
$base, $bits = $subnet.Split('/')
$size = [Math]::Pow(2, 32 - $bits)
$start = number $base
$place = (number $address) - $start
if ($start % $size) { wrong "$subnet is not a subnet like 192.168.111.0/24" }
if ($place -lt 0 -or $place -ge $size) { wrong "$address is not in the subnet $subnet" }
if ($place -eq 0 -or $place -eq $size - 1) { wrong "$address cannot be used: it is at an end of $subnet" }
if ($files) {
    if (-not (Test-Path -PathType Container -LiteralPath $files)) { wrong "$files is not a folder" }
    $mount = @('--volume', "$(Resolve-Path -LiteralPath $files):/files:ro,z")
}
if ($place -eq 1) { wrong "$address cannot be used: it is the gateway of $subnet" }

function is_here($program) { [bool](Get-Command -CommandType Application -Name $program -ErrorAction SilentlyContinue) }
if (-not $engine) { $engine = if (-not (is_here docker) -and (is_here podman)) { 'podman' } else { 'docker' } }
if (-not (is_here $engine)) { die "there is no $engine on this machine; Docker or Podman is needed" }
# Podman's own image format has no HEALTHCHECK.
if ($engine -eq 'podman') { $format = @('--format=docker') }
$said = @(& $engine ps --quiet 2>&1) -join "`n"
if ($LASTEXITCODE) { die "$engine does not answer: $(reason)" }
try {
    & $command
    exit $code
} finally {
    undo
}
