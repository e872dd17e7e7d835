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
  Get a runner for a job, waiting up to an hour:
    label=$(ci-runners wait --queue https://queue.example.org --profile linux \\
      --repo servo/servo --run-id 123)

  See who waits for what:
    ci-runners status --queue https://queue.example.org

`ci-runners <command> --help` explains a command.";

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
