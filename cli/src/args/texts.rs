//! The longer texts of the help: what each command is for, and examples to copy.
//!
//! One line that says what an option means stands with the option.

use crate::exit::MEANINGS;

/// What every long help ends with: examples, then what the statuses mean.
pub(super) fn help_end(examples: &str) -> String {
    format!("{examples}\n\n{MEANINGS}")
}

pub(super) const LONG_ABOUT: &str = "\
Gets runners for GitHub Actions jobs from a queue in front of your own CI servers.

Every server has a monitor, which keeps a pool of fresh, single-use runners. One queue stands in \
front of all of them, like the one line for all tills in a good supermarket: a job is enqueued, \
which gives it a ticket, and takes the next runner that becomes free on any server. The label \
that a take returns is what the job's workflow puts in `runs-on`.

The API token of the queue is taken from the variable SERVO_CI_MONITOR_API_TOKEN only, never from \
the command line, which everybody on a host can read.";

pub(super) const TOP_EXAMPLES: &str = "\
Examples:
  See queue, monitors and runners at work, without GitHub or virtual machines:
    ci-runners demo

  Get a runner for a job, waiting up to an hour:
    label=$(ci-runners wait --queue https://queue.example.org --profile linux \\
      --repo servo/servo --run-id 123)

  See who waits for what:
    ci-runners status --queue https://queue.example.org

`ci-runners <command> --help` explains a command. Not in the list is `agent`, which monitors start:
`ci-runners agent --help`.";

pub(super) const ENQUEUE_ABOUT: &str = "\
Puts a job in line and prints its ticket.

The ticket is the job: whoever has it can take the job's runners, or give the job up, and a queue \
that was restarted meanwhile puts the job back in its old place when it sees the ticket. So keep \
it like a password. A job whose client does not ask for its runners for 30 seconds leaves the \
line: go on with `take`, or use `wait`, which does both.

The same command again with the same --unique-id changes nothing and prints a ticket that is as \
good.";

pub(super) const ENQUEUE_EXAMPLES: &str = "\
Examples:
  export SERVO_CI_MONITOR_API_TOKEN=...
  ci-runners enqueue --queue http://127.0.0.1:8002 --profile linux \\
    --repo servo/servo --run-id 123 --unique-id job-1

  Two runners at once, and the name that was made up for the job:
  ci-runners enqueue --queue http://127.0.0.1:8002 --profile linux --count 2 \\
    --repo servo/servo --run-id 123 --json

The same with curl:
  curl --fail-with-body -sSX POST --oauth2-bearer \"$SERVO_CI_MONITOR_API_TOKEN\" \\
    'http://127.0.0.1:8002/profile/linux/enqueue?unique_id=job-1&qualified_repo=servo/servo&run_id=123'";

pub(super) const TAKE_ABOUT: &str = "\
Asks once for the runners of a job that is in line.

Prints the runners as JSON, as the queue sends them: an object, or an array if the job was \
enqueued with --count. Each has its \"label\", for `runs-on`, and the \"server\" it is on. Asking \
again gives the same runners. If the job's turn has not come, says where it stands, on standard \
error, and ends with status 6: ask again after the time it names.";

pub(super) const TAKE_EXAMPLES: &str = "\
Examples:
  export CI_RUNNERS_TICKET=$(ci-runners enqueue --queue http://127.0.0.1:8002 --profile linux \\
    --repo servo/servo --run-id 123 --unique-id job-1)
  ci-runners take --queue http://127.0.0.1:8002 --unique-id job-1

The same with curl:
  curl --fail-with-body -sSX POST --oauth2-bearer \"$CI_RUNNERS_TICKET\" \\
    http://127.0.0.1:8002/take/job-1";

pub(super) const WAIT_ABOUT: &str = "\
Puts a job in line, waits for its runners, and prints their labels, one a line.

Where the job stands is said on standard error: in one line that changes, on a terminal. The \
queue may be restarted meanwhile, or be out of reach for a while: the job keeps its place. Ctrl-C, \
and the end of --max-wait, withdraw the job, so that nobody waits behind it for nothing.";

pub(super) const WAIT_EXAMPLES: &str = "\
Examples:
  export SERVO_CI_MONITOR_API_TOKEN=...
  label=$(ci-runners wait --queue http://127.0.0.1:8002 --profile linux \\
    --repo servo/servo --run-id 123 --max-wait 15m)

  In a step of a workflow, with a fallback to a hosted runner:
  label=$(ci-runners wait ...) || label=ubuntu-latest
  echo \"runs-on=$label\" >> \"$GITHUB_OUTPUT\"";

pub(super) const SELF_TEST_ABOUT: &str = "\
Tries a queue out, as after a deployment: gets one runner, gets it again and then another, gets \
several at once, asks for what no server has, and asks with a wrong token. Says of each what it \
saw, and ends with 0 only if all went as it should.

Cleans up after itself: each job is withdrawn, and the runners that it had, whose labels have left \
the queue, are destroyed by their servers, which make new ones. No workflow runs on them.";

pub(super) const SELF_TEST_EXAMPLES: &str = "\
Examples:
  export SERVO_CI_MONITOR_API_TOKEN=...
  ci-runners self-test --queue http://127.0.0.1:8002
  ci-runners self-test --queue http://127.0.0.1:8002 --profile linux --scenario one";

pub(super) const STATUS_ABOUT: &str = "\
Shows how a queue or a monitor stands: who waits for what and why, which servers answer, what \
each runner is doing. Needs no token.";

pub(super) const STATUS_EXAMPLES: &str = "\
Examples:
  ci-runners status --queue http://127.0.0.1:8002
  ci-runners status --monitor http://127.0.0.1:8000 --json";

pub(super) const EMULATOR_ABOUT: &str = "\
Runs a GitHub that is made up: it keeps runners, workflow jobs and artifacts in memory, and \
answers the calls that monitors and queues make. What to put into monitor.toml so that a monitor \
uses it, and how to queue a workflow job, is printed at the start. Ends on Ctrl-C.";

pub(super) const EMULATOR_EXAMPLES: &str = "\
Examples:
  ci-runners emulator
  ci-runners emulator --port 9000 --listen 192.168.100.1";

pub(super) const AGENT_ABOUT: &str = "\
Is a runner of the made-up GitHub, as the real runner software is one of the real GitHub: asks the \
monitor for its credential, runs one job, in a real shell, and ends. Monitors start it; a profile \
asks for it with driver = \"command\", and the monitor sets both of its variables:

  CI_RUNNERS_MONITOR_URL   the base URL of the monitor
  CI_RUNNERS_GUEST_SECRET  what shows the monitor which guest this is";

pub(super) const AGENT_EXAMPLES: &str = "\
Example, in monitor.toml:
  [profiles.linux.guest]
  driver = \"command\"
  command = [\"ci-runners\", \"agent\"]";

pub(super) const DEMO_ABOUT: &str = "\
Shows queue, monitors and runners at work on this machine, with a GitHub that is made up.

Starts, in one process but over real HTTP on this host alone: a made-up GitHub, two monitors, each \
of whose runners is a process of its own, and the queue. Then sends a burst of jobs through the \
calls that curl would make: more jobs than runners, of two profiles, one that needs two runners at \
once, one that nobody can satisfy, one with a wrong token. Each job that gets its runner runs a \
real shell command there. After a summary it stays up until Ctrl-C, for you to try things. \
Settings, state and log are in a temporary directory, which is removed at the end.";

pub(super) const DEMO_EXAMPLES: &str = "\
Examples:
  ci-runners demo
  ci-runners demo --exit --port-base 9000
  ci-runners demo --queue-port 9002 --keep-data ./demo-data";
