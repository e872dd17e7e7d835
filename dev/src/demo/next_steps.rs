//! What to try while the demo stays up: lines to copy, with the real addresses. Pure.

use std::path::Path;

use super::hosts::{API_TOKEN, Addresses, HOSTS, REPO, RESERVE_TIMEOUT_SECONDS};

/// The text, for a `ci-runners` at that path.
pub fn next_steps(addresses: &Addresses, executable: &Path) -> String {
    let (queue, [a, b], github) = (&addresses.queue, &addresses.monitors, &addresses.github);
    let [(name_a, _), (name_b, _)] = HOSTS;
    let (executable, pair) = (executable.display(), curl_pair(queue));
    format!(
        "\
Everything stays up until Ctrl-C. What to try next:

  Look at the dashboards in a browser:
    the queue              {queue}/
    the monitor of host {name_a}  {a}/
    the monitor of host {name_b}  {b}/

  Take a runner as a workflow does, with curl alone, in another terminal:
    export SERVO_CI_MONITOR_API_TOKEN={API_TOKEN}
    {pair}

  Nothing runs on that runner yet: unless it gets a job within {RESERVE_TIMEOUT_SECONDS} s, its monitor destroys it and
  makes a new one. To run something on it, put its \"label\" from the answer in here:
    curl --fail-with-body -sS -H 'content-type: application/json' {github}/_emulator/jobs -d '{{\"repo\":\"{REPO}\",\"run_id\":123,\"labels\":[\"runner:...\"],\"command\":\"echo hello\"}}'
  and see how it went:
    curl -sS {github}/_emulator/jobs

  The same without curl, and what there is to see:
    {executable} wait --queue {queue} --profile linux --repo {REPO} --run-id 123
    {executable} status --queue {queue}

  Everybody with an account on this machine can queue such jobs, whose commands run as you."
    )
}

/// Enqueue and take in one line, as workflows do it: curl asks again until there is a runner.
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
    fn the_curl_pair_is_the_one_that_operators_use() {
        let expected = r#"unique_id=$RANDOM; curl --fail-with-body -sSX POST --retry-max-time 3600 --retry 3600 --retry-delay 1 'http://127.0.0.1:8002/take/'"$unique_id"'?token='"$(curl --fail-with-body -sSX POST --oauth2-bearer "$SERVO_CI_MONITOR_API_TOKEN" 'http://127.0.0.1:8002/profile/linux/enqueue?unique_id='"$unique_id"'&qualified_repo=delan/servo&run_id=123')""#;
        assert_eq!(curl_pair("http://127.0.0.1:8002"), expected);
    }

    #[test]
    fn everything_that_can_be_copied_stands_on_one_line() {
        let addresses = Addresses {
            monitors: [
                "http://127.0.0.1:8000".into(),
                "http://127.0.0.1:8001".into(),
            ],
            queue: "http://127.0.0.1:8002".into(),
            github: "http://127.0.0.1:8003".into(),
        };
        let text = next_steps(&addresses, Path::new("/bin/ci-runners"));
        for line in [
            "    export SERVO_CI_MONITOR_API_TOKEN=demo",
            "    the monitor of host b  http://127.0.0.1:8001/",
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
