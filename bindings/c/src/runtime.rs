//! `gabion_runtime`: a device to load models on.

use std::ffi::{CString, c_char, c_void};
use std::mem::{offset_of, size_of};
use std::ptr::null;

use gabion::{DeviceInfo, DeviceKind, Runtime, RuntimeOptions};

use crate::input::{Versioned, handle, options, text};
use crate::output::{create, destroy, fill, fill_sized};
use crate::status::{GABION_OK, c_string, gabion_status, guard, guard_free};

/// gabion's own CPU path.
pub const GABION_DEVICE_CPU: i32 = 0;
/// A hardware GPU.
pub const GABION_DEVICE_GPU: i32 = 1;
/// A GPU interface implemented on the CPU. Never chosen by "auto": the CPU path is much faster.
pub const GABION_DEVICE_SOFTWARE: i32 = 2;

/// A device, with everything that models on it share.
///
/// Threads: immutable; any number of threads may use it at once. Models keep what they need of it, so it may be freed
/// before them.
pub struct gabion_runtime {
    pub(crate) runtime: Runtime,
    info: InfoText,
}

/// How to choose a device.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct gabion_runtime_options {
    /// sizeof(gabion_runtime_options)
    pub struct_size: usize,
    /// "auto": a hardware GPU, else the CPU. "cpu". "gpu": the best adapter. Anything else: the first adapter whose name
    /// contains it, ignoring case. NULL is "auto".
    pub device: *const c_char,
    /// Bytes of `device`, or GABION_NUL_TERMINATED.
    pub device_len: usize,
    /// Threads of the CPU device; 0 for one per core.
    pub threads: usize,
    /// Kernels of a GPU, e.g. "base": what every adapter can run. NULL: the best that pays on the adapter. For comparing; an
    /// adapter without what the level needs is GABION_ERROR_DEVICE, and the CPU ignores it.
    pub level: *const c_char,
    /// Bytes of `level`, or GABION_NUL_TERMINATED.
    pub level_len: usize,
}

// SAFETY: repr(C), begins with its size, only integers and raw pointers
unsafe impl Versioned for gabion_runtime_options {
    const FIRST_SIZE: usize = offset_of!(Self, threads) + size_of::<usize>();
    fn initial() -> Self {
        let (struct_size, none) = (size_of::<Self>(), usize::MAX);
        Self { struct_size, device: null(), device_len: none, threads: 0, level: null(), level_len: none }
    }
}

/// What a device is. The strings are NUL-terminated and live as long as what they were asked of.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct gabion_device_info {
    /// sizeof(gabion_device_info); set it before the call.
    pub struct_size: usize,
    /// GABION_DEVICE_*
    pub kind: i32,
    /// Its name.
    pub name: *const c_char,
    /// "cpu", "vulkan", "metal" or "dx12".
    pub backend: *const c_char,
    /// Driver, where there is one.
    pub driver: *const c_char,
    /// Threads that compute; 0 on a GPU.
    pub threads: usize,
}

// SAFETY: repr(C), begins with its size, only integers and raw pointers
unsafe impl Versioned for gabion_device_info {
    const FIRST_SIZE: usize = offset_of!(Self, threads) + size_of::<usize>();
    fn initial() -> Self {
        let (name, backend, driver) = (null(), null(), null());
        Self { struct_size: size_of::<Self>(), kind: GABION_DEVICE_CPU, name, backend, driver, threads: 0 }
    }
}

/// Gets one device; what `info` points to lives during the call. Returns false to stop.
pub type gabion_device_fn =
    Option<unsafe extern "C" fn(info: *const gabion_device_info, user_data: *mut c_void) -> bool>;

/// A device's description with the strings as C wants them.
struct InfoText {
    info: DeviceInfo,
    name: CString,
    backend: CString,
    driver: CString,
}

impl InfoText {
    fn new(info: DeviceInfo) -> Self {
        let (name, backend, driver) = (c_string(&*info.name), c_string(&*info.backend), c_string(&*info.driver));
        Self { info, name, backend, driver }
    }

    fn view(&self) -> gabion_device_info {
        gabion_device_info {
            struct_size: size_of::<gabion_device_info>(),
            kind: match self.info.kind {
                DeviceKind::Cpu => GABION_DEVICE_CPU,
                DeviceKind::Gpu => GABION_DEVICE_GPU,
                DeviceKind::Software => GABION_DEVICE_SOFTWARE,
            },
            name: self.name.as_ptr(),
            backend: self.backend.as_ptr(),
            driver: self.driver.as_ptr(),
            threads: self.info.threads,
        }
    }
}

/// Tells every device of this machine, the CPU first.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gabion_devices(callback: gabion_device_fn, user_data: *mut c_void) -> gabion_status {
    guard(|| {
        let missing = || gabion::Error::InvalidArgument("the callback is NULL".into());
        let callback = callback.ok_or_else(missing)?;
        let devices = Runtime::devices().into_iter().map(InfoText::new);
        for device in devices {
            // SAFETY: the callback's contract; the struct and its strings live during the call
            if !unsafe { callback(&device.view(), user_data) } {
                break;
            }
        }
        Ok(GABION_OK)
    })
}

/// Writes the defaults into `options`, whose size is `struct_size`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gabion_runtime_options_init(
    options: *mut gabion_runtime_options,
    struct_size: usize,
) -> gabion_status {
    // SAFETY: the header's contract
    guard(|| unsafe { fill_sized(options, struct_size, "options", gabion_runtime_options::initial()) })
}

/// Opens a device. `options` may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gabion_runtime_new(
    options: *const gabion_runtime_options,
    runtime: *mut *mut gabion_runtime,
) -> gabion_status {
    let make = || {
        // SAFETY: the header's contract
        let runtime = Runtime::new(&unsafe { runtime_options(options) }?)?;
        let info = InfoText::new(runtime.info().clone());
        Ok(gabion_runtime { runtime, info })
    };
    // SAFETY: the header's contract
    guard(|| unsafe { create(runtime, make) })
}

/// # Safety
/// `ptr` is as the header says.
unsafe fn runtime_options(ptr: *const gabion_runtime_options) -> gabion::Result<RuntimeOptions> {
    // SAFETY: passed on to the caller
    let given = unsafe { options(ptr, "options") }?;
    let mut wanted = RuntimeOptions { threads: (given.threads != 0).then_some(given.threads), ..Default::default() };
    if !given.device.is_null() {
        // SAFETY: passed on to the caller
        wanted.device = unsafe { text(given.device, given.device_len, "device") }?.to_owned();
    }
    if !given.level.is_null() {
        // SAFETY: passed on to the caller
        wanted.level = Some(unsafe { text(given.level, given.level_len, "level") }?.to_owned());
    }
    Ok(wanted)
}

/// Frees a runtime. NULL is a no-op.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gabion_runtime_free(runtime: *mut gabion_runtime) {
    // SAFETY: the header's contract
    guard_free(|| unsafe { destroy(runtime) });
}

/// Describes the device. The strings live as long as the runtime.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gabion_runtime_get_info(
    runtime: *const gabion_runtime,
    info: *mut gabion_device_info,
) -> gabion_status {
    // SAFETY: the header's contract
    guard(|| unsafe { fill(info, "info", handle(runtime, "runtime")?.info.view()) })
}
