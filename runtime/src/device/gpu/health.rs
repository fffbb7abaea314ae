//! Collects what wgpu reports outside of calls - uncaptured errors, loss of the device - so that the next call returns it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::error::{Error, Result};

/// What has gone wrong so far.
#[derive(Default)]
pub(super) struct Health(Mutex<Report>);

#[derive(Default)]
struct Report {
    /// Why the device was lost; for good.
    lost: Option<String>,
    /// The first error since the last check.
    fault: Option<Fault>,
}

enum Fault {
    OutOfMemory,
    Other(String),
}

impl Health {
    /// Installs the callbacks.
    pub(super) fn watch(device: &wgpu::Device) -> Arc<Self> {
        let health = Arc::new(Self::default());
        let on_error = health.clone();
        device.on_uncaptured_error(Arc::new(move |error| on_error.fault(&error)));
        let on_loss = health.clone();
        device.set_device_lost_callback(move |reason, message| on_loss.lose(&format!("{reason:?}: {message}")));
        health
    }

    fn report(&self) -> MutexGuard<'_, Report> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Marks the device as lost.
    pub(super) fn lose(&self, why: &str) {
        self.report().lost.get_or_insert_with(|| why.into());
    }

    fn fault(&self, error: &wgpu::Error) {
        let fault = match error {
            wgpu::Error::OutOfMemory { .. } => Fault::OutOfMemory,
            other => Fault::Other(other.to_string()),
        };
        self.report().fault.get_or_insert(fault);
    }

    /// The loss, or the error reported since the last check. `what` and `bytes` describe the allocation under way.
    pub(super) fn check(&self, what: &str, bytes: u64) -> Result<()> {
        let mut report = self.report();
        if let Some(why) = &report.lost {
            return Err(Error::DeviceLost(why.clone()));
        }
        match report.fault.take() {
            None => Ok(()),
            Some(Fault::OutOfMemory) => Err(Error::OutOfMemory { what: what.into(), bytes }),
            Some(Fault::Other(message)) => Err(Error::Internal(format!("wgpu: {message}"))),
        }
    }
}
