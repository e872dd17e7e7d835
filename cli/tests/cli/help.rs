//! The help: everything a person needs to go on is in it.

use super::support::*;

const COMMANDS: [&str; 5] = ["enqueue", "take", "wait", "self-test", "status"];

#[actix_web::test]
async fn every_help_has_an_example_and_the_meaning_of_every_exit_status() {
    let top = run("--help").await;
    assert_eq!((top.status, top.stderr.as_str()), (Some(0), ""));
    let mut helps = vec![top.stdout];
    for command in COMMANDS {
        let ended = run(&format!("{command} --help")).await;
        assert_eq!(ended.status, Some(0), "{command}");
        assert_eq!(
            run(&format!("help {command}")).await.stdout,
            ended.stdout,
            "{command}"
        );
        helps.push(ended.stdout);
    }
    for help in helps {
        assert!(help.contains("Example"), "{help}");
        for meaning in [
            "Exit status:",
            "0  done",
            "1  failed",
            "2  the command line is wrong",
            "3  the API token or the ticket was not accepted",
            "4  refused",
            "5  the queue or monitor cannot be reached",
            "6  not yet",
            "7  --max-wait is over",
            "130  interrupted by Ctrl-C",
            "143  ended by SIGTERM",
        ] {
            assert!(help.contains(meaning), "{meaning} is not in {help}");
        }
    }
}

#[actix_web::test]
async fn the_short_help_lists_what_people_type() {
    let ended = run("-h").await;
    assert_eq!(ended.status, Some(0));
    for command in COMMANDS {
        assert!(
            ended.stdout.contains(&format!("\n  {command} ")),
            "{command} is not in {}",
            ended.stdout
        );
    }
}

#[actix_web::test]
async fn nothing_typed_shows_what_could_be() {
    let ended = run("").await;
    assert_eq!(ended.status, Some(2));
    assert!(ended.stderr.contains("Usage: ci-runners <COMMAND>"));
}

#[actix_web::test]
async fn no_value_of_the_environment_is_in_a_help() {
    for (words, variable) in [
        ("take --help", "CI_RUNNERS_TICKET"),
        ("enqueue --help", "SERVO_CI_MONITOR_API_TOKEN"),
    ] {
        let mut command = ci_runners(words);
        command.env(variable, "swordfish");
        let ended = end_of(command).await;
        assert!(ended.stdout.contains(variable), "{words}");
        assert!(!ended.stdout.contains("swordfish"), "{words}");
    }
}
