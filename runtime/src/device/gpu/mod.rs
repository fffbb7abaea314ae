//! Stub until branch `gpu` lands.
#![allow(missing_docs, unused_variables)]

use std::sync::Arc;

use super::*;

pub struct Gpu(DeviceInfo);
impl Gpu {
    pub async fn new(name: Option<&str>, software: bool) -> Result<Arc<Self>> {
        Err(Error::Device("not written yet".into()))
    }
    pub async fn adapters() -> Vec<DeviceInfo> {
        Vec::new()
    }
}
impl Device for Gpu {
    fn info(&self) -> &DeviceInfo {
        &self.0
    }
    fn loader(self: Arc<Self>, plan: Arc<Plan>, precision: Precision) -> Result<Box<dyn Loader>> {
        Err(Error::Internal("not written yet".into()))
    }
}
