//! A profile as the system in production has it: no `image.toml`, one script for build and run, an image
//! that knows no secret, and guests on the bridge of a network.

use crate::support::{Daemon, Host, Profile, until};

/// Builds the image from the CD-ROM if that has not been done, and otherwise runs a job.
const ONE_SCRIPT: &str = r#"
if [ "$(head -c 6 /dev/vda)" != "a mark" ]; then
    wget -q -O /dev/null "${MONITOR_URL}image-deps/tools" || while :; do sleep 60; done
    mkdir /mnt && mount -t iso9660 /dev/sr0 /mnt && [ -e /mnt/meta-data ] &&
        dd if=/mnt/user-data of=/dev/vda 2> /dev/null && sync && poweroff -f
    while :; do sleep 60; done
fi
echo "guest: has ${GUEST_SECRET:-no secret}"
"#;

#[actix_web::test]
async fn a_profile_of_the_system_in_production_builds_its_image_and_runs() {
    let host = Host::without_image();
    host.change_template("quiet", "quiet no-secret");
    host.change_template(
        "<interface type=\"network\">\n      <source network=\"guests\"/>",
        "<interface type=\"bridge\">\n      <mac address=\"52:54:00:b8:b3:dd\"/>\n      \
         <source bridge=\"virbr-guests\"/>",
    );
    host.change_template(
        "<target dev=\"vda\" bus=\"virtio\"/>",
        "<source dev=\"/dev/null\"/><target dev=\"vda\" bus=\"virtio\"/>",
    );
    let agent = include_str!("tiny/runner-boot-script");
    host.set_boot_script(&format!("{ONE_SCRIPT}{agent}"));
    host.write("lib/profiles/tiny/user-data", "a mark of the profile");
    host.write("lib/profiles/tiny/meta-data", "");
    host.write("deps/tools", "");
    host.put_base("tiny/server-cloudimg.img");
    let profile = Profile {
        image: Profile::NO_FILE,
        ..Profile::default()
    };
    let monitor = Daemon::start(&host, profile);
    monitor.until_idle(&[0]).await;
    assert!(host.console(0).contains("guest: has no secret"));
    assert_eq!(host.images().len(), 1);
    until("the build has left nothing", || {
        host.folders() == [host.guest(0)]
    })
    .await;
}
