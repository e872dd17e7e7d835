//! The real queue over real sockets, between clients that speak raw HTTP and monitors that do as
//! each test tells them. No test sleeps: each waits for something that happens.

#[cfg(test)]
mod support;

#[cfg(test)]
mod ending;
#[cfg(test)]
mod enqueue;
#[cfg(test)]
mod failing_monitors;
#[cfg(test)]
mod job;
#[cfg(test)]
mod older_monitors;
#[cfg(test)]
mod pages;
#[cfg(test)]
mod proof;
#[cfg(test)]
mod refusals;
#[cfg(test)]
mod secrets;
#[cfg(test)]
mod take;
#[cfg(test)]
mod tickets;
