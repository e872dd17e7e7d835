//! The help texts.

use super::support::*;

const COMMANDS: [&str; 14] = [
    "enqueue",
    "take",
    "wait",
    "job",
    "history",
    "self-test",
    "status",
    "top",
    "withdraw",
    "drain",
    "undrain",
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

#[actix_web::test]
async fn every_help_has_an_example_and_all_exit_statuses() {
    let mut commands = vec![String::new()];
    commands.extend(COMMANDS.map(str::to_owned));
    for command in commands {
        let help = run(&format!("{command} --help")).await;
        help.assert_stdout_has("Example");
        for status in [
            "Exit status:",
            "    0  done",
            "    1  failed",
            "    2  the command line is wrong",
            "    3  the queue rejected the API token or the ticket",
            "    4  the queue refused the request",
            "    5  the queue or monitor is unreachable",
            "    6  take: the job still waits",
            "    7  wait: no runners within --max-wait",
            "  130  interrupted by Ctrl-C",
            "  143  ended by SIGTERM",
        ] {
            help.assert_stdout_has(status);
        }
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
