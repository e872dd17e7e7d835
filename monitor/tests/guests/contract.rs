//! What a guest is told, and what its neighbours are not.

use http_client::Method;

use crate::support::{Daemon, Host, Profile, until};

/// A boot script that asks for the credential as itself, says what it got, and asks again.
const ASKS_TWICE: &str = r#"
ask() { wget -q -O - --header "Authorization: Bearer $GUEST_SECRET" "${MONITOR_URL}github-jitconfig"; }
until ask > /tmp/credential; do sleep 1; done
echo "guest: has $(wc -c < /tmp/credential | tr -d ' ') bytes"
ask && echo "guest: has it twice" || echo "guest: is refused"
while :; do sleep 60; done
"#;

#[actix_web::test]
async fn a_second_fetch_is_refused_and_raises_an_alarm() {
    let host = Host::new();
    host.set_boot_script(ASKS_TWICE);
    let monitor = Daemon::start(&host, Profile::default());
    until("the guest to have asked twice", || {
        host.console(0).contains("guest: is refused")
    })
    .await;
    assert!(host.console(0).contains("guest: has "));
    let log = monitor.log();
    assert!(
        log.contains("asks for the credential of runner 0 a second time"),
        "{log}"
    );
}

/// A boot script that tries to get what is for a guest of another address: with every header that
/// could be believed, and, if it could find it out, with the other's secret.
fn neighbour(victim_address: &str, victim_secret: &str) -> String {
    format!(
        r#"
try() {{ wget -q -O - "$@" "${{MONITOR_URL}}github-jitconfig" && echo "guest: got it by $*"; }}
try
try --header "X-Real-IP: {victim_address}" --header "X-Forwarded-For: {victim_address}"
try --header "Authorization: Bearer {victim_secret}"
try --header "Authorization: Bearer {victim_secret}" --header "X-Real-IP: {victim_address}"
echo "guest: has tried all"
while :; do sleep 60; done
"#
    )
}

#[actix_web::test]
async fn a_neighbour_does_not_get_the_credential_of_another_guest() {
    let host = Host::new();
    // The victim boots, and does not ask for its credential, which stays where it is.
    host.set_boot_script("while :; do sleep 60; done");
    let monitor = Daemon::start(&host, Profile::default());
    let victim = monitor.until_address(0).await;
    let secret = host.secret(0);
    until("the victim to have fetched its script", || {
        host.console(0).contains("guest: runs what it was given")
    })
    .await;

    host.set_boot_script(&neighbour(&victim.to_string(), &secret));
    let answer = monitor.call(Method::POST, "policy/override?tiny=2").await;
    assert_eq!(answer.status, 200);
    until("the neighbour to have tried all", || {
        host.console(1).contains("guest: has tried all")
    })
    .await;
    assert!(!host.console(1).contains("got it"), "{}", host.console(1));
    let alarm = format!("has what only the guest of runner 0 at {victim} should have");
    assert!(monitor.log().contains(&alarm));
}

#[actix_web::test]
async fn a_stolen_secret_is_worth_nothing_at_another_address() {
    let host = Host::new();
    host.set_boot_script("while :; do sleep 60; done");
    let monitor = Daemon::start(&host, Profile::default());
    monitor.until_address(0).await;
    // The host itself is not the guest either, even with the guest's own secret.
    let answer = monitor
        .ask_as_guest(&host.secret(0), "github-jitconfig")
        .await;
    assert_eq!(answer.status, 403);
    let log = monitor.log();
    assert!(
        log.contains("alarm: somebody at 192.168.100.1 has what only"),
        "{log}"
    );
}

#[actix_web::test]
async fn a_secret_among_the_strings_of_the_smbios_is_as_good() {
    let host = Host::new();
    let profile = Profile {
        image: "proof = \"smbios\"",
        ..Profile::default()
    };
    let monitor = Daemon::start(&host, profile);
    monitor.until_idle(&[0]).await;
}

#[actix_web::test]
async fn a_guest_may_be_known_by_its_address_alone_where_the_profile_says_so() {
    let host = Host::new();
    let profile = Profile {
        image: "proof = \"address\"",
        ..Profile::default()
    };
    let monitor = Daemon::start(&host, profile);
    monitor.until_idle(&[0]).await;
    assert_eq!(monitor.ask_as_nobody("github-jitconfig").await.status, 401);
}
