//! Stub until branch `cpu` lands.
#![allow(missing_docs, unused_variables)]

use std::sync::Arc;

use super::*;

#[derive(Clone, Copy, Debug)]
pub enum Level {
    Reference,
}
impl Level {
    pub fn best() -> Self {
        Level::Reference
    }
}
pub struct Cpu(DeviceInfo);
impl Cpu {
    pub fn new(threads: Option<usize>, level: Level) -> Arc<Self> {
        let name = String::from("CPU");
        let (kind, backend, driver) = (DeviceKind::Cpu, "cpu".into(), String::new());
        Arc::new(Self(DeviceInfo { kind, name, backend, driver, threads: 1, preferred_batch: 128 }))
    }
}
impl Device for Cpu {
    fn info(&self) -> &DeviceInfo {
        &self.0
    }
    fn loader(self: Arc<Self>, plan: Arc<Plan>, precision: Precision) -> Result<Box<dyn Loader>> {
        Err(Error::Internal("not written yet".into()))
    }
}
