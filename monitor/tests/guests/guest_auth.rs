//! Tests of guest authentication: which guest gets a credential, and which one does not.

use http_client::Method;

use crate::support::{Daemon, Host, Profile, until, virsh};

/// A boot script that fetches the credential twice, and prints both outcomes.
const FETCH_TWICE: &str = r#"
ask() { wget -q -O - --header "Authorization: Bearer $GUEST_SECRET" "${MONITOR_URL}github-jitconfig"; }
until ask > /tmp/credential; do sleep 1; done
echo "guest: has $(wc -c < /tmp/credential | tr -d ' ') bytes"
ask && echo "guest: has it twice" || echo "guest: is refused"
while :; do sleep 60; done
"#;

#[actix_web::test]
async fn a_second_fetch_is_refused_and_raises_an_alarm() {
    let host = Host::new();
    host.set_boot_script(FETCH_TWICE);
    let monitor = Daemon::start(&host, Profile::default());
    until("the guest has fetched twice", || {
        host.console(0).contains("guest: is refused")
    })
    .await;
    assert!(host.console(0).contains("guest: has "));
    monitor
        .until_logged("a second request for the credential of runner 0")
        .await;
}

/// A boot script that tries to fetch the credential of a guest with another address: with every header
/// for a client address, and with that guest's secret.
fn attacker(victim_address: &str, victim_secret: &str) -> String {
    format!(
        r#"
try() {{ wget -q -O - "$@" "${{MONITOR_URL}}github-jitconfig" && echo "guest: got it by $*"; }}
try
try --header "X-Real-IP: {victim_address}" --header "X-Forwarded-For: {victim_address}"
try --header "Authorization: Bearer {victim_secret}"
try --header "Authorization: Bearer {victim_secret}" --header "X-Real-IP: {victim_address}"
echo "guest: has tried everything"
while :; do sleep 60; done
"#
    )
}

#[actix_web::test]
async fn a_guest_cannot_fetch_the_credential_of_another_guest() {
    let host = Host::new();
    // The victim does not fetch its credential, so that it can still be fetched.
    host.set_boot_script("while :; do sleep 60; done");
    let monitor = Daemon::start(&host, Profile::default());
    let victim = monitor.until_address(0).await;
    let secret = host.secret(0);
    until("the victim has fetched its script", || {
        host.console(0).contains("guest: runs its script")
    })
    .await;

    host.set_boot_script(&attacker(&victim.to_string(), &secret));
    let answer = monitor.call(Method::POST, "policy/override?tiny=2").await;
    assert_eq!(answer.status, 200);
    until("the attacker has tried everything", || {
        host.console(1).contains("guest: has tried everything")
    })
    .await;
    assert!(!host.console(1).contains("got it"), "{}", host.console(1));
    let alarm = format!("it has the secret of the guest of runner 0, whose address is {victim}");
    monitor.until_logged(&alarm).await;
}

#[actix_web::test]
async fn a_stolen_secret_is_refused_from_another_address() {
    let host = Host::new();
    host.set_boot_script("while :; do sleep 60; done");
    let monitor = Daemon::start(&host, Profile::default());
    monitor.until_address(0).await;
    // From the host itself, with the guest's secret.
    let answer = monitor
        .get_as_guest(&host.secret(0), "github-jitconfig")
        .await;
    assert_eq!(answer.status, 403);
    monitor
        .until_logged("alarm: rejected guest request from 192.168.100.1")
        .await;
}

/// A boot script that gets a second lease for the same MAC address and uses only that one.
const CHANGE_ADDRESS: &str = r#"
first=$(ip -4 addr show dev eth0 | sed -n 's/^ *inet \([^ ]*\).*/\1/p')
ip addr flush dev eth0
until udhcpc -i eth0 -s /bin/lease -q -n -x 0x3d:0102030405 -t 20 -T 1; do :; done
echo "guest: was at $first"
"#;

#[actix_web::test]
async fn any_current_lease_of_a_guest_authenticates_it() {
    for image in ["", "proof = \"address\""] {
        let host = Host::new();
        // As in production: on the bridge of the network, which libvirt does not look up by itself.
        host.change_template(
            "<interface type=\"network\">\n      <source network=\"guests\"/>",
            "<interface type=\"bridge\">\n      <source bridge=\"virbr-guests\"/>",
        );
        let agent = include_str!("tiny/runner-boot-script");
        host.set_boot_script(&format!("{CHANGE_ADDRESS}{agent}"));
        let profile = Profile {
            image,
            ..Profile::default()
        };
        let monitor = Daemon::start(&host, profile);
        let dashboard = monitor.until_idle(&[0]).await;
        let console = host.console(0);
        let (_, first) = console.split_once("guest: was at ").unwrap();
        let first = first.split('/').next().unwrap();
        let leases = virsh(&["net-dhcp-leases", "guests"]);
        assert!(leases.contains(first), "both leases are current: {leases}");
        assert!(dashboard.runners[0].runner.ipv4_address.is_some());
        let log = monitor.log();
        assert!(!log.contains("alarm:"), "{log}");
    }
}

#[actix_web::test]
async fn a_guest_can_authenticate_itself_by_a_secret_in_its_smbios_strings() {
    let host = Host::new();
    let profile = Profile {
        image: "proof = \"smbios\"",
        ..Profile::default()
    };
    let monitor = Daemon::start(&host, profile);
    monitor.until_idle(&[0]).await;
}

#[actix_web::test]
async fn a_guest_is_authenticated_by_its_address_alone_if_the_profile_requires_no_more() {
    let host = Host::new();
    let profile = Profile {
        image: "proof = \"address\"",
        ..Profile::default()
    };
    let monitor = Daemon::start(&host, profile);
    monitor.until_idle(&[0]).await;
    assert_eq!(
        monitor.get_without_secret("github-jitconfig").await.status,
        401
    );
}
