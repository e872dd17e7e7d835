//! The longer texts of the help: the purpose of each command, and examples.
//!
//! The line that describes an option is with the option, in `args`.

use crate::exit::{Exit, meanings};

/// The end of every long help: examples, and the meaning of each exit status that can occur.
pub(super) fn help_end(examples: &str, exits: &[Exit]) -> String {
    format!("{examples}\n\n{}", meanings(exits))
}

/// The statuses of commands that need no daemon.
pub(super) const LOCAL: &[Exit] = &[Exit::Done, Exit::Failed, Exit::Usage];
/// Of commands that send requests with credentials.
pub(super) const ASKING: &[Exit] = &[
    Exit::Done,
    Exit::Failed,
    Exit::Usage,
    Exit::NotAllowed,
    Exit::Refused,
    Exit::TryLater,
];
/// Of `take`.
pub(super) const TAKING: &[Exit] = &[
    Exit::Done,
    Exit::Failed,
    Exit::Usage,
    Exit::NotAllowed,
    Exit::Refused,
    Exit::TryLater,
    Exit::NotYet,
];
/// Of commands that wait for something, at most for a given time.
pub(super) const WAITING: &[Exit] = &[
    Exit::Done,
    Exit::Failed,
    Exit::Usage,
    Exit::NotAllowed,
    Exit::Refused,
    Exit::TryLater,
    Exit::WaitedTooLong,
    Exit::Interrupted,
    Exit::Terminated,
];
/// Of commands with credentials that a signal ends.
pub(super) const FOLLOWING: &[Exit] = &[
    Exit::Done,
    Exit::Failed,
    Exit::Usage,
    Exit::NotAllowed,
    Exit::Refused,
    Exit::TryLater,
    Exit::Interrupted,
    Exit::Terminated,
];
/// Of commands without credentials that a signal ends.
pub(super) const WATCHING: &[Exit] = &[
    Exit::Done,
    Exit::Failed,
    Exit::Usage,
    Exit::Refused,
    Exit::TryLater,
    Exit::Interrupted,
    Exit::Terminated,
];

pub(super) const LONG_ABOUT: &str = "\
Gets runners for GitHub Actions jobs from a queue in front of your own CI servers.

Every server has a monitor, which keeps a pool of single-use runners. One queue in front of all \
servers assigns them to jobs: a job is enqueued, which returns a ticket, and with its ticket takes \
the next runner that becomes idle on any server. The label that a take returns is the value for \
`runs-on` in the job's workflow.

The address of the queue or monitor comes from the first of these that has one: --queue or --monitor; \
the fleet that --fleet names in the configuration file; the variable CI_RUNNERS_QUEUE or \
CI_RUNNERS_MONITOR; the fleet that CI_RUNNERS_FLEET or default_fleet names, or the only one.

The API token is read from the variable SERVO_CI_MONITOR_API_TOKEN, or from the api_token_file of the \
fleet, never from the command line, because every account of a host can read a command line. Requests go through the \
proxies in https_proxy, http_proxy and all_proxy, except to this machine and to what no_proxy names.";

pub(super) const TOP_EXAMPLES: &str = "\
Examples:
  Get a runner for a job, waiting up to an hour:
    label=$(ci-runners wait --queue https://queue.example.org --profile linux \\
      --repo servo/servo --run-id 123)

  Show the waiting jobs and the servers:
    ci-runners status --queue https://queue.example.org

  The configuration file ~/.config/ci-runners/config.toml, after which `ci-runners status` and
  `ci-runners drain --monitor ci1` need no URLs:
    [fleets.example]
    queue = \"https://queue.example.org\"
    api_token_file = \"token\"
    [fleets.example.monitors]
    ci1 = \"http://ci1.example.org:8000\"
    ci2 = \"http://ci2.example.org:8000\"

`ci-runners <command> --help` explains a command.";

pub(super) const ENQUEUE_ABOUT: &str = "\
Enqueues a job and prints its ticket.

Who has the ticket can take the job's runners and withdraw the job, so keep it like a password. A \
queue that was restarted restores the job at its position when it receives the ticket. A job whose \
client does not ask for its runners for 30 seconds is abandoned: continue with `take`, or use \
`wait`, which does both.

Repeating the command with the same --unique-id changes nothing and prints an equivalent ticket.";

pub(super) const ENQUEUE_EXAMPLES: &str = "\
Examples:
  export SERVO_CI_MONITOR_API_TOKEN=...
  ci-runners enqueue --queue http://127.0.0.1:8002 --profile linux \\
    --repo servo/servo --run-id 123 --unique-id job-1

  Two runners at once, with a random name for the job:
  ci-runners enqueue --queue http://127.0.0.1:8002 --profile linux --count 2 \\
    --repo servo/servo --run-id 123 --json

The same with curl:
  curl --fail-with-body -sSX POST --oauth2-bearer \"$SERVO_CI_MONITOR_API_TOKEN\" \\
    'http://127.0.0.1:8002/profile/linux/enqueue?unique_id=job-1&qualified_repo=servo/servo&run_id=123'";

pub(super) const TAKE_ABOUT: &str = "\
Asks once for the runners of a job that was enqueued.

Prints the runners as JSON, as the queue sends them: an object, or an array if the job was \
enqueued with --count. Each has a \"label\", the value for `runs-on`, and the \"server\" that it \
is on. Repeating the command returns the same runners. If the job still waits, its position is \
printed to standard error and the exit status is 6: repeat the command after the time printed.";

pub(super) const TAKE_EXAMPLES: &str = "\
Examples:
  export CI_RUNNERS_TICKET=$(ci-runners enqueue --queue http://127.0.0.1:8002 --profile linux \\
    --repo servo/servo --run-id 123 --unique-id job-1)
  ci-runners take --queue http://127.0.0.1:8002 --unique-id job-1

The same with curl:
  curl --fail-with-body -sSX POST --oauth2-bearer \"$CI_RUNNERS_TICKET\" \\
    http://127.0.0.1:8002/take/job-1";

pub(super) const WAIT_ABOUT: &str = "\
Enqueues a job, waits for its runners, and prints their labels, one per line.

The position of the job is printed to standard error; on a terminal, in one line that is updated. \
The queue may be restarted or unreachable meanwhile: the job keeps its position. Ctrl-C and the end \
of --max-wait withdraw the job, so that it does not delay other jobs.";

pub(super) const WAIT_EXAMPLES: &str = "\
Examples:
  export SERVO_CI_MONITOR_API_TOKEN=...
  label=$(ci-runners wait --queue http://127.0.0.1:8002 --profile linux \\
    --repo servo/servo --run-id 123 --max-wait 15m)

  In a step of a workflow, with a fallback to a hosted runner:
  label=$(ci-runners wait ...) || label=ubuntu-latest
  echo \"runs-on=$label\" >> \"$GITHUB_OUTPUT\"";

pub(super) const SELF_TEST_ABOUT: &str = "\
Tests a deployment: gets one runner, gets it again and then another, gets several at once, asks for \
a profile that no server has, and asks with a wrong token. Prints the result of each scenario; the \
exit status is 0 only if all passed.

Every job is withdrawn at the end of its scenario. Runners whose labels were returned are destroyed \
by their monitors and replaced. No workflow runs on them.";

pub(super) const SELF_TEST_EXAMPLES: &str = "\
Examples:
  export SERVO_CI_MONITOR_API_TOKEN=...
  ci-runners self-test --queue http://127.0.0.1:8002
  ci-runners self-test --queue http://127.0.0.1:8002 --profile linux --scenario one";

pub(super) const STATUS_ABOUT: &str = "\
Shows the state of a queue or a monitor. A queue: the waiting jobs and the reason why each waits, \
and the health of the servers. A monitor: the status of each runner. Needs no token.";

pub(super) const STATUS_EXAMPLES: &str = "\
Examples:
  ci-runners status --queue http://127.0.0.1:8002
  ci-runners status --queue http://127.0.0.1:8002 --watch
  ci-runners status --monitor http://127.0.0.1:8000 --json";

pub(super) const TOP_ABOUT: &str = "\
Shows a queue on the whole screen, live: what is wrong, the runners of each profile, the jobs that wait, \
run and have ended, the runners and the servers. `?` explains the keys.

With the API token it can withdraw jobs, drain servers and destroy runners, after a confirmation; without \
one it only shows. Changes of servers and runners go to the URLs by which the queue knows the servers. While \
the queue does not answer, its last state stays on the screen.";

pub(super) const FULL_SCREEN_EXAMPLES: &str = "\
Examples:
  ci-runners top --queue http://127.0.0.1:8002
  NO_COLOR=1 ci-runners top --fleet production";

pub(super) const JOB_ABOUT: &str = "\
Shows where a job stands and each step that has happened to it: when it was enqueued, which servers \
refused it and why, which runners it got, when it started and how it ended. Also for jobs that are over, \
as far as the journal of the queue reaches back.

Requires the API token, or the ticket of the job.";

pub(super) const JOB_EXAMPLES: &str = "\
Examples:
  export SERVO_CI_MONITOR_API_TOKEN=...
  ci-runners job --queue http://127.0.0.1:8002 job-1

The same with curl:
  curl --fail-with-body -sS --oauth2-bearer \"$SERVO_CI_MONITOR_API_TOKEN\" \\
    http://127.0.0.1:8002/job/job-1";

pub(super) const HISTORY_ABOUT: &str = "\
Lists the jobs of a queue that are over, the last ended first: when and how each ended, how long it \
waited, and on which runners it ran. Requires the API token.";

pub(super) const HISTORY_EXAMPLES: &str = "\
Examples:
  export SERVO_CI_MONITOR_API_TOKEN=...
  ci-runners history --queue http://127.0.0.1:8002 --since 2026-12-24T02:00:00Z
  ci-runners history --queue http://127.0.0.1:8002 --repo servo/servo --outcome abandoned

The same with curl:
  curl --fail-with-body -sS --oauth2-bearer \"$SERVO_CI_MONITOR_API_TOKEN\" \\
    'http://127.0.0.1:8002/history.json?since=2026-12-24T02:00:00Z'";

pub(super) const WITHDRAW_ABOUT: &str = "\
Withdraws a job: it waits no longer, and runners that are reserved for it are released. Its client is \
answered that there is no such job. A job whose workflow has started is not ended by this.

Requires the API token, or the ticket of the job. Shows the job and asks for confirmation, on standard \
error and from standard input, unless --yes is given.";

pub(super) const WITHDRAW_EXAMPLES: &str = "\
Examples:
  export SERVO_CI_MONITOR_API_TOKEN=...
  ci-runners withdraw --queue http://127.0.0.1:8002 job-1

The same with curl:
  curl --fail-with-body -sSX DELETE --oauth2-bearer \"$SERVO_CI_MONITOR_API_TOKEN\" \\
    http://127.0.0.1:8002/job/job-1";

pub(super) const LOGS_ABOUT: &str = "\
Shows what has happened to a runner of a monitor: why it was created, when it came online, for which job it \
was reserved, how its guest ended and with which last output, and why it was destroyed. Also of a runner that \
is gone, as far as the journal of the monitor reaches back.

With --follow it goes on with what happens, until the runner is destroyed.";

pub(super) const LOGS_EXAMPLES: &str = "\
Examples:
  export SERVO_CI_MONITOR_API_TOKEN=...
  ci-runners logs --monitor http://127.0.0.1:8000 17
  ci-runners logs --monitor http://127.0.0.1:8000 17 --follow

The same with curl:
  curl --fail-with-body -sS --oauth2-bearer \"$SERVO_CI_MONITOR_API_TOKEN\" \\
    http://127.0.0.1:8000/runner/17";

pub(super) const COMPLETIONS_ABOUT: &str = "\
Prints a script with which a shell completes commands and options.";

pub(super) const COMPLETIONS_EXAMPLES: &str = "\
Examples:
  ci-runners completions bash > ~/.local/share/bash-completion/completions/ci-runners
  ci-runners completions zsh > ~/.zfunc/_ci-runners
  ci-runners completions fish > ~/.config/fish/completions/ci-runners.fish";

pub(super) const MAN_ABOUT: &str = "\
Prints the manual page of the program or of a command, for `man -l`, or writes the pages of all.";

pub(super) const MAN_EXAMPLES: &str = "\
Examples:
  ci-runners man wait | man -l -
  ci-runners man --folder /usr/local/share/man/man1";

pub(super) const DRAIN_ABOUT: &str = "\
Drains a server: its monitor destroys the runners that have no job, and creates and assigns none, until \
`undrain`. Jobs that run are not ended. The drain outlives restarts.

With --wait it returns when no runner is busy or reserved, so that the server can be shut down; Ctrl-C and \
the end of --max-wait leave it drained.";

pub(super) const DRAIN_EXAMPLES: &str = "\
Examples:
  export SERVO_CI_MONITOR_API_TOKEN=...
  ci-runners drain --monitor http://127.0.0.1:8000 --note 'new disk' --wait && sudo poweroff

The same with curl:
  curl --fail-with-body -sSX POST --oauth2-bearer \"$SERVO_CI_MONITOR_API_TOKEN\" \\
    'http://127.0.0.1:8000/policy/drain?note=new%20disk'";

pub(super) const UNDRAIN_ABOUT: &str = "\
Ends the drain of a server: its monitor creates runners again.";

pub(super) const UNDRAIN_EXAMPLES: &str = "\
Examples:
  export SERVO_CI_MONITOR_API_TOKEN=...
  ci-runners undrain --monitor http://127.0.0.1:8000

The same with curl:
  curl --fail-with-body -sSX DELETE --oauth2-bearer \"$SERVO_CI_MONITOR_API_TOKEN\" \\
    http://127.0.0.1:8000/policy/drain";

pub(super) const PAUSE_ABOUT: &str = "\
Pauses a profile: the queue chooses none of its jobs until `resume`. They keep their positions, further jobs \
can be enqueued, and jobs that have their runners are not touched. The pause outlives restarts. Pausing again \
replaces the note.";

pub(super) const PAUSE_EXAMPLES: &str = "\
Examples:
  export SERVO_CI_MONITOR_API_TOKEN=...
  ci-runners pause --queue http://127.0.0.1:8002 linux --note 'its image is broken'

The same with curl:
  curl --fail-with-body -sSX POST --oauth2-bearer \"$SERVO_CI_MONITOR_API_TOKEN\" \\
    'http://127.0.0.1:8002/profile/linux/pause?note=its%20image%20is%20broken'";

pub(super) const RESUME_ABOUT: &str = "\
Ends the pause of a profile: the queue chooses its jobs again.";

pub(super) const RESUME_EXAMPLES: &str = "\
Examples:
  export SERVO_CI_MONITOR_API_TOKEN=...
  ci-runners resume --queue http://127.0.0.1:8002 linux

The same with curl:
  curl --fail-with-body -sSX DELETE --oauth2-bearer \"$SERVO_CI_MONITOR_API_TOKEN\" \\
    http://127.0.0.1:8002/profile/linux/pause";

pub(super) const REBUILD_ABOUT: &str = "\
Lets a server rebuild the image of a profile as soon as there is room, also while it pauses after failed \
builds. The order ends when a build that began after it has succeeded, or with --cancel, and outlives restarts. \
Until then new runners start from the image that there is.

`ci-runners status --monitor` shows the age of each image and the orders.";

pub(super) const REBUILD_EXAMPLES: &str = "\
Examples:
  export SERVO_CI_MONITOR_API_TOKEN=...
  ci-runners rebuild --monitor http://127.0.0.1:8000 linux --note 'new compiler'
  ci-runners rebuild --monitor http://127.0.0.1:8000 linux --cancel

The same with curl:
  curl --fail-with-body -sSX POST --oauth2-bearer \"$SERVO_CI_MONITOR_API_TOKEN\" \\
    'http://127.0.0.1:8000/image/linux/rebuild?note=new%20compiler'";

pub(super) const RELOAD_ABOUT: &str = "\
Lets a queue or a monitor read its settings again, as SIGHUP does. Prints which settings have changed and are in \
force now, and which need a restart. With a mistake in the settings nothing changes.";

pub(super) const RELOAD_EXAMPLES: &str = "\
Examples:
  export SERVO_CI_MONITOR_API_TOKEN=...
  ci-runners reload --monitor http://127.0.0.1:8000
  ci-runners reload --queue http://127.0.0.1:8002 --json

The same with curl:
  curl --fail-with-body -sSX POST --oauth2-bearer \"$SERVO_CI_MONITOR_API_TOKEN\" \\
    http://127.0.0.1:8000/reload";

pub(super) const OVERRIDE_ABOUT: &str = "\
Shows, sets or cancels the temporary targets of a server: how many runners of each profile its monitor \
keeps, before what its settings say; the other profiles make room. They end once the last of their \
runners has come and gone, or when they are cancelled, and outlive restarts.";

pub(super) const OVERRIDE_EXAMPLES: &str = "\
Examples:
  export SERVO_CI_MONITOR_API_TOKEN=...
  ci-runners override set --monitor http://127.0.0.1:8000 linux=3 windows=0
  ci-runners override get --monitor http://127.0.0.1:8000
  ci-runners override cancel --monitor http://127.0.0.1:8000

The same with curl:
  curl --fail-with-body -sSX POST --oauth2-bearer \"$SERVO_CI_MONITOR_API_TOKEN\" \\
    'http://127.0.0.1:8000/policy/override?linux=3&windows=0'";

pub(super) const DESTROY_RUNNER_ABOUT: &str = "\
Destroys a runner of a monitor. For one that hangs, and for one that is kept because nothing proves \
that its job has ended: this command is the word of an operator that it has.

The monitor destroys the runner as soon as GitHub does not show that it runs a job; with --force at \
once, which ends the job. Shows the runner and asks for confirmation, on standard error and from \
standard input, unless --yes is given.";

pub(super) const DESTROY_RUNNER_EXAMPLES: &str = "\
Examples:
  export SERVO_CI_MONITOR_API_TOKEN=...
  ci-runners status --monitor http://127.0.0.1:8000
  ci-runners destroy-runner --monitor http://127.0.0.1:8000 17

The same with curl:
  curl --fail-with-body -sSX DELETE --oauth2-bearer \"$SERVO_CI_MONITOR_API_TOKEN\" \\
    http://127.0.0.1:8000/runner/17";

pub(super) const IMPORT_ABOUT: &str = "\
Makes an existing disk the image of a profile of this server.

The disk is copied into the monitor's data directory and becomes current in one step, once the copy is \
complete. New runners start from it; existing ones keep theirs. Run this on the server, as the account \
of the monitor or as root. It needs no daemon, and qemu-img unless the copy has the format of the disk.";

pub(super) const IMPORT_EXAMPLES: &str = "\
Examples:
  The disk of a virtual machine that is shut off:
    ci-runners import linux /var/lib/libvirt/images/linux.qcow2 --data /var/lib/ci-runners

  A raw disk that stays where it is, with the variables of its firmware:
    ci-runners import macos /srv/macos.img --in-place --nvram /srv/macos_VARS.fd";
