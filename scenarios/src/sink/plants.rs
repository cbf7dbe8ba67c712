//! What is known of the sink's plants.

use seedbed::PlantInfo;
use seedbed_engines::sink::Plant;

/// Every plant of the sink and of its embedded participant.
pub(super) fn all() -> Vec<PlantInfo> {
    Plant::ALL.iter().map(|plant| info(*plant)).collect()
}

fn info(plant: Plant) -> PlantInfo {
    if plant.benign() {
        return PlantInfo::benign(plant.name(), plant.about());
    }
    PlantInfo::bug(plant.name(), plant.about()).met(plant.met())
}
