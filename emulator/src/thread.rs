//! The emulator on a thread of its own, for tests and programs that have no actix runtime.

use std::{
    io,
    net::{Ipv4Addr, TcpListener},
    sync::mpsc,
    thread::{Builder, JoinHandle},
};

use actix_web::rt::System;
use tokio::sync::oneshot;

use crate::{Emulator, EmulatorSettings, serve};

/// An emulator that answers until this is dropped.
#[derive(Debug)]
pub struct EmulatorThread {
    /// Its base address, without a slash at the end.
    pub base_url: String,
    /// The emulator itself.
    pub emulator: Emulator,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// Starts an emulator on a free port of 127.0.0.1. It answers when this returns.
///
/// # Errors
/// When there is no free port, or the system gives no thread.
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
            // An error here or there means that the owner is gone, which is an order to stop too.
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
