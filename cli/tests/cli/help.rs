//! The help texts.

use super::support::*;

const COMMANDS: [&str; 21] = [
    "enqueue",
    "take",
    "wait",
    "job",
    "history",
    "self-test",
    "status",
    "top",
    "withdraw",
    "logs",
    "completions",
    "man",
    "drain",
    "undrain",
    "pause",
    "resume",
    "rebuild",
    "reload",
    "override",
    "destroy-runner",
    "import",
];

#[actix_web::test]
async fn the_help_of_the_program() {
    let help = run("--help").await;
    assert_eq!((help.status, help.stderr.as_str()), (Some(0), ""));
    insta::assert_snapshot!("help", help.stdout);
    let short = run("-h").await;
    short.assert_status(0);
    insta::assert_snapshot!("short_help", short.stdout);
}

#[actix_web::test]
async fn the_help_of_each_command() {
    for command in COMMANDS {
        let help = run(&format!("{command} --help")).await;
        help.assert_status(0);
        run(&format!("help {command}"))
            .await
            .assert_exit(0, &help.stdout);
        insta::assert_snapshot!(format!("help_{command}"), help.stdout);
    }
}

/// The exit statuses that each help has; that of the program has all.
const STATUSES: [(&str, &str); 22] = [
    ("", "0 1 2 3 4 5 6 7 130 143"),
    ("enqueue", "0 1 2 3 4 5"),
    ("take", "0 1 2 3 4 5 6"),
    ("wait", "0 1 2 3 4 5 7 130 143"),
    ("job", "0 1 2 3 4 5"),
    ("history", "0 1 2 3 4 5"),
    ("self-test", "0 1 2 3 4 5 130 143"),
    ("status", "0 1 2 4 5 130 143"),
    ("top", "0 1 2 4 5 130 143"),
    ("withdraw", "0 1 2 3 4 5"),
    ("logs", "0 1 2 3 4 5 130 143"),
    ("completions", "0 1 2"),
    ("man", "0 1 2"),
    ("drain", "0 1 2 3 4 5 7 130 143"),
    ("undrain", "0 1 2 3 4 5"),
    ("pause", "0 1 2 3 4 5"),
    ("resume", "0 1 2 3 4 5"),
    ("rebuild", "0 1 2 3 4 5"),
    ("reload", "0 1 2 3 4 5"),
    ("override", "0 1 2 3 4 5"),
    ("destroy-runner", "0 1 2 3 4 5"),
    ("import", "0 1 2"),
];

#[actix_web::test]
async fn every_help_has_an_example_and_the_exit_statuses_that_can_occur() {
    assert_eq!(STATUSES.len(), COMMANDS.len() + 1);
    for (command, expected) in STATUSES {
        let help = run(&format!("{command} --help")).await;
        help.assert_stdout_has("Example");
        let (_, statuses) = help.stdout.split_once("Exit status:\n").unwrap();
        let numbers = statuses.lines().filter(|line| !line.starts_with("       "));
        let numbers = numbers.filter_map(|line| line.split_whitespace().next());
        assert_eq!(numbers.collect::<Vec<_>>().join(" "), expected, "{command}");
    }
}

#[actix_web::test]
async fn the_short_help_lists_every_command() {
    let help = run("-h").await;
    for command in COMMANDS {
        help.assert_stdout_has(&format!("\n  {command} "));
    }
}

#[actix_web::test]
async fn without_arguments_the_help_is_printed() {
    let finished = run("").await;
    finished.assert_exit(2, "");
    finished.assert_stderr_has("Usage: ci-runners [OPTIONS] <COMMAND>");
}

#[actix_web::test]
async fn no_help_contains_the_value_of_a_variable() {
    for (arguments, variable) in [
        ("take --help", "CI_RUNNERS_TICKET"),
        ("enqueue --help", "SERVO_CI_MONITOR_API_TOKEN"),
    ] {
        let mut command = ci_runners(arguments);
        command.env(variable, "swordfish");
        let help = finish(command).await;
        help.assert_stdout_has(variable);
        assert!(!help.stdout.contains("swordfish"), "{arguments}");
    }
}
