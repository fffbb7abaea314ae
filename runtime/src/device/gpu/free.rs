//! How much memory of its own an adapter has.

/// Bytes of its largest heap, all of them, whoever else uses it; only Vulkan is asked.
#[cfg(not(any(target_arch = "wasm32", target_vendor = "apple")))]
pub(super) fn memory(device: &wgpu::Device) -> Option<u64> {
    // SAFETY: wgpu's device is only looked at, while it is borrowed, and nothing of it is kept
    let device = unsafe { device.as_hal::<wgpu::hal::api::Vulkan>() }?;
    let instance = device.shared_instance().raw_instance();
    // SAFETY: the instance and its physical device live as long as the device does
    let memory = unsafe { instance.get_physical_device_memory_properties(device.raw_physical_device()) };
    let heaps = &memory.memory_heaps[..memory.memory_heap_count as usize];
    // the first flag: VK_MEMORY_HEAP_DEVICE_LOCAL_BIT
    heaps.iter().filter(|heap| heap.flags.as_raw() & 1 != 0).map(|heap| heap.size).max()
}

#[cfg(any(target_arch = "wasm32", target_vendor = "apple"))]
pub(super) fn memory(_: &wgpu::Device) -> Option<u64> {
    None
}
