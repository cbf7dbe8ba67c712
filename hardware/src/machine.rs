//! The machine that figures come from. A figure without it says nothing.

use std::fmt;
use std::path::Path;

use serde::{Deserialize, Serialize};

/// File systems in memory: a sync costs nothing there, and keeps nothing.
const IN_MEMORY: [&str; 3] = ["tmpfs", "ramfs", "devtmpfs"];

/// What a figure depends on besides the program. What the operating system does not tell is empty.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Machine {
    /// The processor's name.
    pub cpu: String,
    /// How many threads it runs at once.
    pub cores: usize,
    /// The operating system and its release.
    pub kernel: String,
    /// The file system of the folder.
    pub file_system: String,
    /// What it is mounted from, and with which options.
    pub mount: String,
    /// How the processor's clock is governed.
    pub governor: String,
    /// Processes that wanted to run in the last minute, on average, before the run.
    pub load: f64,
}

impl Machine {
    /// The machine, and where `folder` lies on it.
    pub fn here(folder: &Path) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let (file_system, mount) = os::mount(folder);
        let (cpu, kernel, governor, load) = os::processor();
        Self { cpu, cores, kernel, file_system, mount, governor, load }
    }

    /// Whether what is written there is gone with the power, synced or not.
    pub fn is_in_memory(&self) -> bool {
        IN_MEMORY.contains(&self.file_system.as_str())
    }

    /// As pairs of names and values, for baselines.
    pub fn pairs(&self) -> Vec<(&'static str, String)> {
        vec![
            ("cpu", self.cpu.clone()),
            ("cores", self.cores.to_string()),
            ("kernel", self.kernel.clone()),
            ("file_system", self.file_system.clone()),
            ("mount", self.mount.clone()),
            ("governor", self.governor.clone()),
        ]
    }
}

impl fmt::Display for Machine {
    /// One line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known =
            |text: &str| if text.is_empty() { "unknown".to_owned() } else { text.to_owned() };
        write!(f, "{} x {}, {}, ", self.cores, known(&self.cpu), known(&self.kernel))?;
        write!(f, "{} ({}), ", known(&self.file_system), known(&self.mount))?;
        write!(f, "governor {}, load {:.2}", known(&self.governor), self.load)
    }
}

#[cfg(target_os = "linux")]
mod os {
    use std::path::Path;

    use procfs::Current;

    /// The file system of a folder, and its source and options.
    pub(super) fn mount(folder: &Path) -> (String, String) {
        let Ok(folder) = folder.canonicalize() else { return Default::default() };
        let mounts = procfs::process::Process::myself().and_then(|myself| myself.mountinfo());
        let Ok(mounts) = mounts else { return Default::default() };
        // Of two with one place the later one lies above.
        let holds = |mount: &&procfs::process::MountInfo| folder.starts_with(&mount.mount_point);
        let found = mounts.0.iter().filter(holds).enumerate();
        let found = found.max_by_key(|(nth, mount)| (mount.mount_point.as_os_str().len(), *nth));
        let Some((_, mount)) = found else { return Default::default() };
        let options = mount.mount_options.iter().chain(&mount.super_options);
        let mut words: Vec<String> = options
            .map(|(name, value)| match value {
                Some(value) => format!("{name}={value}"),
                None => name.clone(),
            })
            .collect();
        words.sort_unstable();
        words.dedup();
        let source = mount.mount_source.clone().unwrap_or_default();
        (mount.fs_type.clone(), format!("{source} {}", words.join(",")))
    }

    /// The processor's name, the kernel, the governor, the load.
    pub(super) fn processor() -> (String, String, String, f64) {
        let cpu = procfs::CpuInfo::current().ok();
        let cpu = cpu.and_then(|cpu| cpu.model_name(0).map(str::to_owned)).unwrap_or_default();
        let system = rustix::system::uname();
        let text = |text: &std::ffi::CStr| text.to_string_lossy().into_owned();
        let kernel = format!("{} {}", text(system.sysname()), text(system.release()));
        let governor = "/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor";
        let governor = std::fs::read_to_string(governor).unwrap_or_default().trim().to_owned();
        let load = procfs::LoadAverage::current().map_or(0.0, |load| f64::from(load.one));
        (cpu, kernel, governor, load)
    }
}

#[cfg(not(target_os = "linux"))]
mod os {
    use std::path::Path;

    pub(super) fn mount(_: &Path) -> (String, String) {
        Default::default()
    }

    pub(super) fn processor() -> (String, String, String, f64) {
        (String::new(), std::env::consts::OS.to_owned(), String::new(), 0.0)
    }
}
