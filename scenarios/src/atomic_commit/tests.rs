//! Short sweeps of the scenario itself.
