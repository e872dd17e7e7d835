//! The real queue over real sockets, between clients that speak raw HTTP and monitors whose state
//! and faults each test chooses. No test sleeps: each waits for something that happens.

#[cfg(test)]
mod support;

#[cfg(test)]
mod artifact_auth;
#[cfg(test)]
mod dashboard;
#[cfg(test)]
mod enqueue;
#[cfg(test)]
mod failing_monitors;
#[cfg(test)]
mod history;
#[cfg(test)]
mod job;
#[cfg(test)]
mod older_monitors;
#[cfg(test)]
mod pauses;
mod policy;
#[cfg(test)]
mod process;
#[cfg(test)]
mod refused_tokens;
#[cfg(test)]
mod rejected_requests;
#[cfg(test)]
mod reload;
#[cfg(test)]
mod restart;
#[cfg(test)]
mod secrets;
#[cfg(test)]
mod server_list;
#[cfg(test)]
mod take;
#[cfg(test)]
mod tickets;
#[cfg(test)]
mod worth_waiting;
