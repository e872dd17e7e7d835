//! An emulator on its own thread, for tests and programs without an actix runtime.

use std::{
    io,
    net::{Ipv4Addr, TcpListener},
    sync::mpsc,
    thread::{Builder, JoinHandle},
};

use actix_web::rt::System;
use tokio::sync::oneshot;

use crate::{Emulator, EmulatorSettings, serve};

/// An emulator that serves requests until this is dropped.
#[derive(Debug)]
pub struct EmulatorThread {
    /// Its base URL, without a slash at the end.
    pub base_url: String,
    pub emulator: Emulator,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// Starts an emulator on a free port of 127.0.0.1. It accepts requests when this returns.
///
/// # Errors
/// When there is no free port, or no thread can be started.
pub fn spawn(settings: EmulatorSettings) -> io::Result<EmulatorThread> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let base_url = format!("http://{}", listener.local_addr()?);
    let emulator = Emulator::new(settings);
    let (stop, stopped) = oneshot::channel();
    let (started, is_started) = mpsc::channel();
    let served = emulator.clone();
    let work = move || {
        System::new().block_on(async move {
            let running = match serve(served, listener) {
                Ok(running) => running,
                Err(error) => return drop(started.send(Err(error))),
            };
            // An error means that the owner was dropped, which also stops the server.
            let _ = started.send(Ok(()));
            let _ = stopped.await;
            running.stop().await;
        });
    };
    let thread = Builder::new().name("emulator".into()).spawn(work)?;
    is_started
        .recv()
        .unwrap_or_else(|_| Err(io::Error::other("the emulator's thread panicked")))?;
    Ok(EmulatorThread {
        base_url,
        emulator,
        stop: Some(stop),
        thread: Some(thread),
    })
}

impl Drop for EmulatorThread {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            log::error!("the emulator's thread panicked");
        }
    }
}
