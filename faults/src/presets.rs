//! The fault plans that ship with the crate, from `plans/*.toml`.

#[cfg(test)]
mod tests;

/// A fault plan that ships with the crate.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Preset {
    /// Name on the command line; [`crate::Plan::preset`] takes it.
    pub name: &'static str,
    /// One sentence for people, equal to the plan's own.
    pub about: &'static str,
    /// The plan file.
    pub text: &'static str,
}

macro_rules! preset {
    ($name:literal, $about:literal) => {
        Preset {
            name: $name,
            about: $about,
            text: include_str!(concat!("../plans/", $name, ".toml")),
        }
    };
}

static PRESETS: [Preset; 11] = [
    preset!("none", "nothing goes wrong: no crashes, no faults"),
    preset!("crashes", "crashes and power losses with torn pages, no I/O errors"),
    preset!(
        "rough",
        "crashes, power losses, I/O errors, a full disk, bit rot and bad clocks, swarmed"
    ),
    preset!("sync_errors", "crashes, and syncs that fail"),
    preset!("disk_full", "crashes, and disks that run out of space"),
    preset!("bit_rot", "crashes, and durable bytes that change between boots"),
    preset!("slow_disk", "crashes, and a disk that is slow, stalls, queues and hangs"),
    preset!(
        "media",
        "crashes, and media faults: rot, unreadable pages, junk, lost, misdirected and stale pages"
    ),
    preset!("lying_disk", "crashes, and syncs that report success before anything is durable"),
    preset!(
        "net",
        "crashes, pauses, bad clocks, and a network that loses, delays, cuts and resets; swarmed"
    ),
    preset!(
        "cluster",
        "several nodes: crashes, I/O errors, full and slow disks, bad clocks and networks; swarmed"
    ),
];

/// All presets, the mildest first.
pub fn presets() -> impl Iterator<Item = &'static Preset> {
    PRESETS.iter()
}
