//! The GitHub clients of the monitor: one for the scope of the settings, and one for each other scope in
//! which a runner was registered before the settings changed.
//!
//! Responsible for asking about a registration where it was made. All of them have the same credentials,
//! and one API status.

use std::{cell::RefCell, collections::BTreeMap, rc::Rc};

use github::{Credentials, Github, GithubConfig};
use http_client::Client;
use shared::settings::Settings;

/// Cheap to clone; stays on its thread.
#[derive(Clone)]
pub struct GithubClients {
    current: Rc<Github>,
    config: GithubConfig,
    client: Client,
    /// The clients of other scopes, by scope in lower case.
    others: Rc<RefCell<BTreeMap<String, Rc<Github>>>>,
}

impl GithubClients {
    pub fn new(settings: &Settings, credentials: Credentials) -> Self {
        let config = GithubConfig::of(&settings.github, credentials);
        let client = Client::with_proxies(settings.proxies.clone());
        Self {
            current: Rc::new(Github::new(client.clone(), config.clone())),
            config,
            client,
            others: Rc::default(),
        }
    }

    /// The client for the scope of the settings.
    pub fn current(&self) -> &Rc<Github> {
        &self.current
    }

    /// The client for a scope.
    pub fn in_scope(&self, scope: &str) -> Rc<Github> {
        if self.config.scope_path.eq_ignore_ascii_case(scope) {
            return Rc::clone(&self.current);
        }
        let mut others = self.others.borrow_mut();
        let other = others.entry(scope.to_ascii_lowercase()).or_insert_with(|| {
            let config = GithubConfig {
                scope_path: scope.to_owned(),
                ..self.config.clone()
            };
            let api_status = self.current.api_status();
            Rc::new(Github::new(self.client.clone(), config).with_api_status(api_status))
        });
        Rc::clone(other)
    }
}
