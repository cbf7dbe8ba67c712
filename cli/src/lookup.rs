//! Finding things by name, with the nearest known name when there is no such thing.

use seedbed::{PlantInfo, Scenario};

use crate::exit::Failure;

/// The scenario of that name.
pub(crate) fn scenario<'a>(
    scenarios: &'a [Box<dyn Scenario>],
    name: &str,
) -> Result<&'a dyn Scenario, Failure> {
    let found = scenarios.iter().find(|scenario| scenario.name() == name);
    found.map(|scenario| &**scenario).ok_or_else(|| {
        let known: Vec<_> = scenarios.iter().map(|scenario| scenario.name()).collect();
        unknown("scenario", name, &known)
    })
}

/// The plant of that name.
pub(crate) fn plant(scenario: &dyn Scenario, name: &str) -> Result<PlantInfo, Failure> {
    let plants = scenario.plants();
    let found = plants.iter().find(|plant| plant.name == name);
    found.copied().ok_or_else(|| {
        let known: Vec<_> = plants.iter().map(|plant| plant.name).collect();
        unknown(&format!("plant of {}", scenario.name()), name, &known)
    })
}

/// A refusal that names what there is.
pub(crate) fn unknown(kind: &str, name: &str, known: &[&str]) -> Failure {
    let hint = match nearest(name, known) {
        Some(word) => format!(" (did you mean \"{word}\"?)"),
        None => String::new(),
    };
    let known = match known {
        [] => "there are none".to_owned(),
        known => format!("known: {}", known.join(", ")),
    };
    let name = seedbed::traces::escape(name);
    Failure::usage(format!("no {kind} is named \"{name}\"{hint}; {known}"))
}

/// The known word that this is most likely a typo of.
fn nearest<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    if word.len() > 64 {
        return None; // longer than every known word
    }
    let allowed = 1 + word.len() / 4;
    let distances = known.iter().map(|known| (strsim::damerau_levenshtein(word, known), *known));
    let close = distances.filter(|(distance, _)| *distance <= allowed);
    close.min_by_key(|(distance, _)| *distance).map(|(_, known)| known)
}
