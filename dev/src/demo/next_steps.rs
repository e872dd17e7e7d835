//! What to try while the demo stays up: commands to copy, with the actual addresses. Pure.

use std::path::Path;

use super::servers::{API_TOKEN, Addresses, REPO, RESERVE_TIMEOUT_SECONDS, SERVERS};

/// The text. `executable` is the path of `ci-runners-dev`; `ci-runners` is built beside it.
pub fn next_steps(addresses: &Addresses, executable: &Path) -> String {
    let (queue, [a, b], github) = (&addresses.queue, &addresses.monitors, &addresses.github);
    let [(name_a, _), (name_b, _)] = SERVERS;
    let ci_runners = executable.with_file_name("ci-runners");
    let (ci_runners, pair) = (ci_runners.display(), curl_pair(queue));
    format!(
        "\
Everything stays up until Ctrl-C. What to try next:

  Look at the dashboards in a browser:
    queue                {queue}/
    monitor of server {name_a}  {a}/
    monitor of server {name_b}  {b}/

  Take a runner as a workflow does, with curl alone, in another terminal:
    export SERVO_CI_MONITOR_API_TOKEN={API_TOKEN}
    {pair}

  The runner has no workflow job yet. Unless it gets one within {RESERVE_TIMEOUT_SECONDS} s, its
  monitor destroys it and creates a new one. To run a job on it, insert its
  \"label\":
    curl --fail-with-body -sS -H 'content-type: application/json' {github}/_emulator/jobs -d '{{\"repo\":\"{REPO}\",\"run_id\":123,\"labels\":[\"runner:...\"],\"command\":\"echo hello\"}}'
  and show the result:
    curl -sS {github}/_emulator/jobs

  The same with the command that users install (cargo build --bin ci-runners):
    {ci_runners} wait --queue {queue} --profile linux --repo {REPO} --run-id 123
    {ci_runners} status --queue {queue}
    {ci_runners} top --queue {queue}

  Every account of this machine can queue such jobs, and their commands run as
  you."
    )
}

/// Enqueue and take in one line, as workflows do it: curl repeats the take until it succeeds.
fn curl_pair(queue: &str) -> String {
    format!(
        "unique_id=$RANDOM; curl --fail-with-body -sSX POST --retry-max-time 3600 --retry 3600 \
         --retry-delay 1 '{queue}/take/'\"$unique_id\"'?token='\"$(curl --fail-with-body -sSX POST \
         --oauth2-bearer \"$SERVO_CI_MONITOR_API_TOKEN\" \
         '{queue}/profile/linux/enqueue?unique_id='\"$unique_id\"'&qualified_repo={REPO}&run_id=123')\""
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_curl_pair_is_the_documented_one() {
        let expected = r#"unique_id=$RANDOM; curl --fail-with-body -sSX POST --retry-max-time 3600 --retry 3600 --retry-delay 1 'http://127.0.0.1:8002/take/'"$unique_id"'?token='"$(curl --fail-with-body -sSX POST --oauth2-bearer "$SERVO_CI_MONITOR_API_TOKEN" 'http://127.0.0.1:8002/profile/linux/enqueue?unique_id='"$unique_id"'&qualified_repo=delan/servo&run_id=123')""#;
        assert_eq!(curl_pair("http://127.0.0.1:8002"), expected);
    }

    #[test]
    fn every_command_to_copy_is_on_one_line() {
        let addresses = Addresses {
            monitors: [
                "http://127.0.0.1:8000".into(),
                "http://127.0.0.1:8001".into(),
            ],
            queue: "http://127.0.0.1:8002".into(),
            github: "http://127.0.0.1:8003".into(),
        };
        let text = next_steps(&addresses, Path::new("/bin/ci-runners-dev"));
        for line in [
            "    export SERVO_CI_MONITOR_API_TOKEN=demo",
            "    monitor of server b  http://127.0.0.1:8001/",
            "    curl -sS http://127.0.0.1:8003/_emulator/jobs",
            "    /bin/ci-runners status --queue http://127.0.0.1:8002",
            &format!("    {}", curl_pair(&addresses.queue)),
        ] {
            assert!(
                text.lines().any(|have| have == line),
                "{line} is not in {text}"
            );
        }
    }
}
