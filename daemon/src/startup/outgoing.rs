//! What outgoing requests depend on and a settings file does not say: proxies and root certificates.

use http_client::root_certificates;
use shared::settings::Settings;

/// What an operator has to know about the root certificates of this host, one sentence each.
pub(super) fn warnings() -> Vec<String> {
    root_certificates().warnings()
}

/// Logs the warnings, and the proxy that requests to GitHub go through.
pub(super) fn log(settings: &Settings) {
    for warning in warnings() {
        log::warn!("{warning}");
    }
    if let Some(proxy) = settings
        .proxies
        .of_base_url(&settings.github.github_api_url)
    {
        log::info!(
            "requests to GitHub go through the proxy {proxy}, as {} says",
            proxy.variable
        );
    }
}
