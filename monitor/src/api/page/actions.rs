//! What operators can do on the page: with the server, its runners and its images.

use daemon::page::{Actions, Button};
use maud::{Markup, html};
use monitor_core::View;
use shared::values::ProfileKey;

/// What can be done with the whole server.
pub fn of_server(view: &View) -> Markup {
    html! {
        section id="operate" {
            h2 { "Actions" small { " need the API token, which stays in the memory of this page" } }
            (drain(view).render())
            (targets(view).render())
            noscript { p class="dim" { "Without JavaScript: " code { "ci-runners drain" } ", " code { "override" } ", " code { "rebuild" } ", " code { "destroy-runner" } "." } }
        }
    }
}

fn drain(view: &View) -> Actions<'static> {
    let path = "policy/drain".to_owned();
    let (title, button) = match view.dashboard.drain {
        None => (
            "Drain the server …",
            Button {
                label: "Drain",
                method: "POST",
                path,
                sends: &["note"],
                done: "The server is drained.",
                ..Button::default()
            },
        ),
        Some(_) => (
            "End the drain …",
            Button {
                label: "End the drain",
                method: "DELETE",
                path,
                done: "The drain has ended.",
                ..Button::default()
            },
        ),
    };
    Actions {
        key: "drain".to_owned(),
        title,
        buttons: vec![button],
    }
}

fn targets(view: &View) -> Actions<'static> {
    let path = || "policy/override".to_owned();
    let mut buttons = vec![Button {
        label: "Set",
        method: "POST",
        path: path(),
        sends: &["note", "targets"],
        done: "The targets are set.",
        ..Button::default()
    }];
    if view.dashboard.target_override.is_some() {
        buttons.push(Button {
            label: "Cancel those in force",
            method: "DELETE",
            path: path(),
            done: "They are cancelled.",
            ..Button::default()
        });
    }
    Actions {
        key: "targets".to_owned(),
        title: "Set temporary targets …",
        buttons,
    }
}

/// What can be done with a runner.
pub fn of_runner(id: u64) -> Actions<'static> {
    let destroy = |label, path| Button {
        label,
        method: "DELETE",
        path,
        done: "It is destroyed as soon as that is possible.",
        is_final: true,
        ..Button::default()
    };
    Actions {
        key: format!("runner {id}"),
        title: "Console, destroy …",
        buttons: vec![
            Button {
                label: "Show the console",
                method: "GET",
                path: format!("runner/{id}/console.log"),
                ..Button::default()
            },
            destroy("Destroy", format!("runner/{id}")),
            destroy("Destroy by force", format!("runner/{id}?force=true")),
        ],
    }
}

/// What can be done with the image of a profile.
pub fn of_image(view: &View, profile_key: &ProfileKey) -> Actions<'static> {
    let path = format!("image/{profile_key}/rebuild");
    let (title, button) = match view.dashboard.rebuilds.get(profile_key) {
        None => (
            "Rebuild …",
            Button {
                label: "Rebuild",
                method: "POST",
                path,
                sends: &["note"],
                done: "The rebuild is ordered.",
                ..Button::default()
            },
        ),
        Some(_) => (
            "Cancel the rebuild …",
            Button {
                label: "Cancel the rebuild",
                method: "DELETE",
                path,
                done: "It is cancelled.",
                ..Button::default()
            },
        ),
    };
    Actions {
        key: format!("image {profile_key}"),
        title,
        buttons: vec![button],
    }
}
